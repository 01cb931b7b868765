"""A small verifier in the layout of UniSpeech's published file: made here, and computed in plain loops."""

import math

import torch
from torch import Tensor

SIZES = {"channels": 24, "groups": 4, "squeezed": 5, "pooled": 20, "attention": 6, "embedding": 7}
CLASSIFIER = "loss_calculator.projection.weight"


def small_config(is_large_kind: bool, **changes):
    """A WavLM of 3 layers, of the kind of WavLM-large or of WavLM-base."""
    import transformers

    return transformers.WavLMConfig(
        **{
            "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40,
            "conv_dim": (8, 8, 8, 8, 8, 8, 12), "num_buckets": 32, "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4, "do_stable_layer_norm": is_large_kind,
            "feat_extract_norm": "layer" if is_large_kind else "group",
        } | changes
    )  # fmt: skip


def lively(shape: torch.Size, name: str, rng: torch.Generator) -> Tensor:
    """Random values that leave no tensor without effect, as fresh norms and biases would be."""
    value = torch.randn(shape, generator=rng)
    if name.endswith(("running_var", "weight_g")):
        return 0.5 + value.square()
    if name.endswith("norm.weight") or (".bn" in name and name.endswith(".weight")) or name == "bn.weight":
        return 1 + 0.3 * value
    if value.ndim > 1:
        return value * (1.5 / math.sqrt(math.prod(shape[1:])))
    return 0.3 * value


def original_names(num_layers: int, is_large_kind: bool) -> dict[str, str]:
    """Name in the original WavLM -> name in transformers, one after the other."""
    names = {"mask_emb": "masked_spec_embed"}
    for layer in range(7):
        convolution = f"feature_extractor.conv_layers.{layer}"
        names[f"{convolution}.0.weight"] = f"{convolution}.conv.weight"
        norm = f"{convolution}.2.1" if is_large_kind else f"{convolution}.2"
        if is_large_kind or layer == 0:
            names |= {f"{norm}.{leaf}": f"{convolution}.layer_norm.{leaf}" for leaf in ("weight", "bias")}
    pairs = {
        "layer_norm": "feature_projection.layer_norm",
        "post_extract_proj": "feature_projection.projection",
        "encoder.layer_norm": "encoder.layer_norm",
    }
    for layer in range(num_layers):
        place = f"encoder.layers.{layer}."
        for projection in ("k_proj", "v_proj", "q_proj", "out_proj"):
            pairs[f"{place}self_attn.{projection}"] = f"{place}attention.{projection}"
        pairs[f"{place}self_attn.grep_linear"] = f"{place}attention.gru_rel_pos_linear"
        pairs[f"{place}self_attn_layer_norm"] = f"{place}layer_norm"
        pairs[f"{place}fc1"] = f"{place}feed_forward.intermediate_dense"
        pairs[f"{place}fc2"] = f"{place}feed_forward.output_dense"
        pairs[f"{place}final_layer_norm"] = f"{place}final_layer_norm"
        names[f"{place}self_attn.grep_a"] = f"{place}attention.gru_rel_pos_const"
    for theirs, ours in pairs.items():
        names |= {f"{theirs}.{leaf}": f"{ours}.{leaf}" for leaf in ("weight", "bias")}
    first = "encoder.layers.0."
    names[f"{first}self_attn.relative_attention_bias.weight"] = f"{first}attention.rel_attn_embed.weight"
    position = "encoder.pos_conv_embed.conv."
    names["encoder.pos_conv.0.bias"] = f"{position}bias"
    names["encoder.pos_conv.0.weight_g"] = f"{position}parametrizations.weight.original0"
    names["encoder.pos_conv.0.weight_v"] = f"{position}parametrizations.weight.original1"
    return names


def head_shapes(features: int, sizes: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Published name -> shape of every tensor of the head."""
    channels, pooled = sizes["channels"], sizes["pooled"]
    part = channels // sizes["groups"]
    shapes: dict[str, tuple[int, ...]] = {}

    def affine(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

    def norm(name: str, width: int) -> None:
        affine(name, width)
        shapes[f"{name}.running_mean"] = shapes[f"{name}.running_var"] = (width,)
        shapes[f"{name}.num_batches_tracked"] = ()

    affine("layer1.conv", channels, features, 5)
    norm("layer1.bn", channels)
    for layer in (2, 3, 4):
        for number in (1, 2):
            affine(f"layer{layer}.Conv1dReluBn{number}.conv", channels, channels, 1)
            norm(f"layer{layer}.Conv1dReluBn{number}.bn", channels)
            affine(
                f"layer{layer}.SE_Connect.linear{number}", *sorted((channels, sizes["squeezed"]), reverse=number > 1)
            )
        for group in range(sizes["groups"] - 1):
            affine(f"layer{layer}.Res2Conv1dReluBn.convs.{group}", part, part, 3)
            norm(f"layer{layer}.Res2Conv1dReluBn.bns.{group}", part)
    affine("conv", pooled, 3 * channels, 1)
    affine("pooling.linear1", sizes["attention"], pooled, 1)
    affine("pooling.linear2", pooled, sizes["attention"], 1)
    norm("bn", 2 * pooled)
    affine("linear", sizes["embedding"], 2 * pooled)
    return shapes


def make_verifier(is_large_kind: bool = True, seed: int = 0) -> tuple[dict[str, Tensor], object]:
    """The published ``model`` of a small verifier, and its WavLM as transformers has it."""
    import transformers

    rng = torch.Generator().manual_seed(seed)
    config = small_config(is_large_kind)
    encoder = transformers.WavLMModel(config).eval()
    names = original_names(config.num_hidden_layers, is_large_kind)
    weights = encoder.state_dict()
    assert sorted(names.values()) == sorted(weights)
    made = {theirs: lively(weights[ours].shape, theirs, rng) for theirs, ours in names.items()}
    encoder.load_state_dict({names[theirs]: value for theirs, value in made.items()})
    state = {f"feature_extract.model.{theirs}": value for theirs, value in made.items()}
    state["feature_weight"] = torch.randn(config.num_hidden_layers + 1, generator=rng)
    for name, shape in head_shapes(config.hidden_size, SIZES).items():
        is_count = name.endswith("num_batches_tracked")
        state[name] = torch.tensor(1000) if is_count else lively(torch.Size(shape), name, rng)
    state[CLASSIFIER] = torch.randn(9, SIZES["embedding"], generator=rng)
    return state, encoder


def mixed_layers(encoder, weights: Tensor, wave: Tensor) -> list[list[float]]:
    """Frames [T][F] by hooks: what enters every layer and what leaves the encoder, by their softmax weights."""
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, given, named: seen.append((*given, *named.values())[0]), with_kwargs=True
        )
        for layer in encoder.encoder.layers
    ]
    with torch.inference_mode():
        seen.append(encoder(wave[None]).last_hidden_state)
    for hook in hooks:
        hook.remove()
    exponents = [math.exp(value) for value in weights.tolist()]
    assert len(seen) == len(exponents)
    mixed = sum(state[0].double() * exponent / sum(exponents) for state, exponent in zip(seen, exponents, strict=True))
    return mixed.tolist()


class PlainHead:
    """The head over lists of numbers, [channel][time], in double precision."""

    def __init__(self, state: dict[str, Tensor]):
        self.state = {name: value.double().tolist() for name, value in state.items()}

    def convolve(self, name, rows, dilation=1):
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        time, kernel = len(rows[0]), len(weight[0][0])
        reach = dilation * (kernel // 2)
        found = []
        for filters, shift in zip(weight, bias, strict=True):
            line = [shift] * time
            for taps, row in zip(filters, rows, strict=True):
                for tap, value in enumerate(taps):
                    for at in range(time):
                        source = at - reach + tap * dilation
                        if 0 <= source < time:
                            line[at] += value * row[source]
            found.append(line)
        return found

    def norm(self, name, rows):
        parts = (self.state[f"{name}.{leaf}"] for leaf in ("weight", "bias", "running_mean", "running_var"))
        return [
            [scale * (value - mean) / math.sqrt(variance + 1e-5) + shift for value in row]
            for row, scale, shift, mean, variance in zip(rows, *parts, strict=True)
        ]

    def conv_relu_norm(self, conv, norm, rows, dilation=1):
        return self.norm(norm, [[max(value, 0.0) for value in row] for row in self.convolve(conv, rows, dilation)])

    def linear(self, name, values):
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return [
            shift + sum(w * v for w, v in zip(row, values, strict=True))
            for row, shift in zip(weight, bias, strict=True)
        ]

    def block(self, name, rows, dilation):
        hidden = self.conv_relu_norm(f"{name}.Conv1dReluBn1.conv", f"{name}.Conv1dReluBn1.bn", rows)
        part = len(hidden) // SIZES["groups"]
        done, before = [], None
        for group in range(SIZES["groups"] - 1):
            own = hidden[group * part : (group + 1) * part]
            if before is not None:
                own = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(own, before, strict=True)]
            place = f"{name}.Res2Conv1dReluBn"
            before = self.conv_relu_norm(f"{place}.convs.{group}", f"{place}.bns.{group}", own, dilation)
            done += before
        done += hidden[(SIZES["groups"] - 1) * part :]
        hidden = self.conv_relu_norm(f"{name}.Conv1dReluBn2.conv", f"{name}.Conv1dReluBn2.bn", done)
        means = [sum(row) / len(row) for row in hidden]
        squeezed = [max(value, 0.0) for value in self.linear(f"{name}.SE_Connect.linear1", means)]
        gates = [1 / (1 + math.exp(-value)) for value in self.linear(f"{name}.SE_Connect.linear2", squeezed)]
        return [
            [value * gate + old for value, old in zip(row, below, strict=True)]
            for row, gate, below in zip(hidden, gates, rows, strict=True)
        ]

    def embed(self, frames: list[list[float]]) -> list[float]:
        rows = [[value + 1e-6 for value in row] for row in zip(*frames, strict=True)]
        normed = []
        for row in rows:
            mean = sum(row) / len(row)
            variance = sum((value - mean) ** 2 for value in row) / len(row)
            normed.append([(value - mean) / math.sqrt(variance + 1e-5) for value in row])
        second = self.block("layer2", self.conv_relu_norm("layer1.conv", "layer1.bn", normed), 2)
        third = self.block("layer3", second, 3)
        fourth = self.block("layer4", third, 4)
        merged = [[max(value, 0.0) for value in row] for row in self.convolve("conv", second + third + fourth)]
        inner = [[math.tanh(value) for value in row] for row in self.convolve("pooling.linear1", merged)]
        means, deviations = [], []
        for row, logits in zip(merged, self.convolve("pooling.linear2", inner), strict=True):
            exponents = [math.exp(value) for value in logits]
            shares = [value / sum(exponents) for value in exponents]
            mean = sum(share * value for share, value in zip(shares, row, strict=True))
            square = sum(share * value**2 for share, value in zip(shares, row, strict=True))
            means.append(mean)
            deviations.append(math.sqrt(max(square - mean**2, 1e-9)))
        normed = [row[0] for row in self.norm("bn", [[value] for value in means + deviations])]
        return self.linear("linear", normed)
