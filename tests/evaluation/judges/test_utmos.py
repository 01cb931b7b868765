"""UTMOS on small files of the published layout: the score is that of plain arithmetic, written from that layout."""

import re

import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from torch.nn import functional

from resgen_tts.common.errors import AudioError, CheckpointError, ConfigError
from resgen_tts.evaluation.judges import utmos
from resgen_tts.evaluation.judges.utmos import PUBLISHED, Utmos

pytest.importorskip("transformers", reason="the extra 'hf' is not installed; UTMOS is NOT tested")

WIDTH, CONVOLVED, LAYERS, FEED, GROUPS, EMBEDDED, HIDDEN, INNER = 128, 12, 2, 40, 4, 6, 10, 14
KERNELS, STRIDES, HEADS = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), 2


def published(seed: int = 0) -> dict[str, torch.Tensor]:
    """A file of that layout, small: names and axes as in the module that loads the published one."""
    rng = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, kernel in enumerate(KERNELS):
        shapes[f"feature_extractor.conv_layers.{layer}.0.weight"] = (CONVOLVED, CONVOLVED if layer else 1, kernel)
    shapes |= {f"feature_extractor.conv_layers.0.2.{kind}": (CONVOLVED,) for kind in ("weight", "bias")}
    shapes |= {f"layer_norm.{kind}": (CONVOLVED,) for kind in ("weight", "bias")}
    shapes |= {"post_extract_proj.weight": (WIDTH, CONVOLVED), "post_extract_proj.bias": (WIDTH,)}
    shapes |= {"encoder.pos_conv.0.bias": (WIDTH,), "encoder.pos_conv.0.weight_g": (1, 1, 16)}
    shapes |= {"encoder.pos_conv.0.weight_v": (WIDTH, WIDTH // GROUPS, 16), "mask_emb": (WIDTH,)}
    norms = ["encoder.layer_norm"]
    for layer in range(LAYERS):
        inside = f"encoder.layers.{layer}."
        norms += [inside + "self_attn_layer_norm", inside + "final_layer_norm"]
        for kind in "qkv":
            shapes[f"{inside}self_attn.{kind}_proj.weight"] = (WIDTH, WIDTH)
            shapes[f"{inside}self_attn.{kind}_proj.bias"] = (WIDTH,)
        shapes |= {inside + "self_attn.out_proj.weight": (WIDTH, WIDTH), inside + "self_attn.out_proj.bias": (WIDTH,)}
        shapes |= {inside + "fc1.weight": (FEED, WIDTH), inside + "fc1.bias": (FEED,)}
        shapes |= {inside + "fc2.weight": (WIDTH, FEED), inside + "fc2.bias": (WIDTH,)}
    shapes |= {f"{norm}.{kind}": (WIDTH,) for norm in norms for kind in ("weight", "bias")}
    shapes = {f"wav2vec2.{name}": shape for name, shape in shapes.items()}
    shapes |= {"domain_emb": (1, EMBEDDED), "judge_emb": (1, EMBEDDED)}
    for direction in ("", "_reverse"):
        shapes[f"blstm.weight_ih_l0{direction}"] = (4 * HIDDEN, WIDTH + 2 * EMBEDDED)
        shapes[f"blstm.weight_hh_l0{direction}"] = (4 * HIDDEN, HIDDEN)
        shapes |= {f"blstm.bias_{kind}_l0{direction}": (4 * HIDDEN,) for kind in ("ih", "hh")}
    shapes |= {"projection.0.weight": (INNER, 2 * HIDDEN), "projection.0.bias": (INNER,)}
    shapes |= {"projection.2.weight": (1, INNER), "projection.2.bias": (1,)}
    made = {}
    for name, shape in shapes.items():
        is_scale = "norm.weight" in name or name.endswith(("0.2.weight", "weight_g"))
        size = 0.5 / max(1, int(np.prod(shape[1:]))) ** 0.5
        made[name] = torch.randn(shape, generator=rng) * (0.1 if is_scale else size) + is_scale
    return made


def reference(tensors: dict[str, torch.Tensor], wave: np.ndarray) -> float:
    """Score by sums and products, from the published names."""

    def get(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return tensors[f"wav2vec2.{name}.weight"], tensors[f"wav2vec2.{name}.bias"]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = get(name)
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias

    x = torch.from_numpy(wave)[None, None]
    for layer, stride in enumerate(STRIDES):
        x = functional.conv1d(x, tensors[f"wav2vec2.feature_extractor.conv_layers.{layer}.0.weight"], stride=stride)
        if layer == 0:  # every channel is normalised over time
            weight, bias = get("feature_extractor.conv_layers.0.2")
            centred = x - x.mean(-1, keepdim=True)
            x = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight[:, None] + bias[:, None]
        x = functional.gelu(x)
    x = functional.linear(norm(x[0].T, "layer_norm"), *get("post_extract_proj"))  # [T, F]
    v, g = (tensors[f"wav2vec2.encoder.pos_conv.0.weight_{kind}"] for kind in "vg")
    kernel = v / v.square().sum((0, 1), keepdim=True).sqrt() * g
    bias = tensors["wav2vec2.encoder.pos_conv.0.bias"]
    positions = functional.conv1d(x.T[None], kernel, bias, padding=8, groups=GROUPS)[0, :, :-1].T
    x = norm(x + functional.gelu(positions), "encoder.layer_norm")
    for layer in range(LAYERS):
        inside = f"encoder.layers.{layer}."
        q, k, v = (functional.linear(x, *get(f"{inside}self_attn.{kind}_proj")) for kind in "qkv")
        size = WIDTH // HEADS
        heads = []
        for head in range(HEADS):
            mine = slice(head * size, (head + 1) * size)
            heads.append(torch.softmax(q[:, mine] @ k[:, mine].T / size**0.5, -1) @ v[:, mine])
        attended = functional.linear(torch.cat(heads, -1), *get(inside + "self_attn.out_proj"))
        x = norm(x + attended, inside + "self_attn_layer_norm")
        fed = functional.linear(functional.gelu(functional.linear(x, *get(inside + "fc1"))), *get(inside + "fc2"))
        x = norm(x + fed, inside + "final_layer_norm")
    told = torch.cat([tensors["domain_emb"], tensors["judge_emb"]], -1).expand(len(x), -1)
    x = torch.cat([x, told], -1)

    def scan(series: torch.Tensor, direction: str) -> torch.Tensor:
        w, r, b, c = (
            tensors[f"blstm.{kind}_l0{direction}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        state = cell = torch.zeros(HIDDEN)
        states = []
        for frame in series:
            entry, forget, new, leave = (w @ frame + b + r @ state + c).chunk(4)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(entry) * torch.tanh(new)
            state = torch.sigmoid(leave) * torch.tanh(cell)
            states.append(state)
        return torch.stack(states)

    both = torch.cat([scan(x, ""), scan(x.flip(0), "_reverse").flip(0)], -1)
    inner = functional.linear(both, tensors["projection.0.weight"], tensors["projection.0.bias"]).relu()
    out = functional.linear(inner, tensors["projection.2.weight"], tensors["projection.2.bias"])
    return float(out.mean() * 2 + 3)


@pytest.fixture
def wave(tmp_path):
    samples = (0.2 * np.random.default_rng(0).normal(size=16_000)).clip(-1, 1).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    return samples, tmp_path / "a.wav"


@pytest.fixture
def weights(tmp_path):
    torch.save(published(), tmp_path / "utmos.pt")
    return tmp_path / "utmos.pt"


def test_the_score_is_that_of_the_published_layout(wave, weights):
    samples, path = wave
    rater = Utmos(weights, allow_pickle=True)
    found = rater.rate(path)
    assert set(found) == set(rater.figures) == {"UTMOS"} and not rater.is_embedded
    assert found["UTMOS"] == pytest.approx(reference(published(), samples), abs=1e-5)
    assert found == rater.rate(path)
    others = {name: value * 2 if name == "judge_emb" else value for name, value in published().items()}
    assert abs(found["UTMOS"] - reference(others, samples)) > 1e-4  # the listener's embedding is in the sum


def test_what_comes_before_a_time_is_not_heard(wave, weights, tmp_path):
    samples, path = wave
    rater = Utmos(weights, allow_pickle=True)
    soundfile.write(tmp_path / "rest.wav", samples[4_000:], 16_000, subtype="FLOAT")
    assert rater.rate(path, 0.25) == rater.rate(tmp_path / "rest.wav") != rater.rate(path)
    with pytest.raises(AudioError, match="AUDIO_NO_SAMPLES"):
        rater.rate(path, start_seconds=1.0)


def test_every_tensor_but_the_mask_counts(wave, weights, tmp_path):
    _, path = wave
    first = Utmos(weights, allow_pickle=True).rate(path)["UTMOS"]
    for number, name in enumerate(published()):
        # Softmax takes no notice of a constant in its argument, which is what a key's bias adds.
        if re.search(r"mask_emb|k_proj\.bias", name):
            continue
        other = published()
        other[name] = published(seed=1)[name]
        file = tmp_path / f"{number}.pt"
        torch.save(other, file)
        changed = Utmos(file, allow_pickle=True).rate(path)["UTMOS"]
        assert changed != first, name


def test_another_file_has_another_name(weights, tmp_path):
    torch.save(published(seed=1), tmp_path / "other.pt")
    names = {Utmos(file, allow_pickle=True).name for file in (weights, tmp_path / "other.pt")}
    assert len(names) == 2 and all(name.startswith("UTMOS22 strong, ") for name in names)
    torch.save(dict(reversed(published().items())), tmp_path / "same.pt")  # other bytes, the same numbers
    assert (tmp_path / "same.pt").read_bytes() != weights.read_bytes()
    assert Utmos(tmp_path / "same.pt", allow_pickle=True).name == Utmos(weights, allow_pickle=True).name


def test_safetensors_give_the_same_and_no_pickle_is_read_unasked(wave, weights, tmp_path):
    from safetensors.torch import save_file

    save_file(published(), tmp_path / "utmos.safetensors")
    converted, first = Utmos(tmp_path / "utmos.safetensors"), Utmos(weights, allow_pickle=True)
    assert converted.rate(wave[1]) == first.rate(wave[1]) and converted.name == first.name
    with pytest.raises(CheckpointError) as caught:
        Utmos(weights)
    assert caught.value.code == "PICKLE_REFUSED" and "SpeechMOS" in str(caught.value)
    with pytest.raises(CheckpointError, match="SpeechMOS"):
        Utmos(tmp_path / "gone.pt", allow_pickle=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("wav2vec2.encoder.layers.1.fc2.bias"), r"1 are missing: wav2vec2.encoder.layers.1.fc2.bias"),
        (lambda t: t.pop("wav2vec2.encoder.pos_conv.0.weight_v"), r"lacks wav2vec2.encoder.pos_conv.0.weight_v"),
        (lambda t: t.pop("judge_emb"), "lacks judge_emb"),
        (lambda t: t.update({"ssl_model.encoder": torch.zeros(2)}), "1 are unknown: ssl_model.encoder"),
        (
            lambda t: t.update({"projection.2.bias": torch.zeros(2)}),
            r"1 have another shape: projection.2.bias \(2,",
        ),
        (lambda t: t.update({"projection.0.weight": torch.zeros(2)}), r"projection.0.weight has the shape 2"),
    ],
)
def test_other_tensors_are_refused_by_name(change, said, tmp_path):
    tensors = published()
    change(tensors)
    torch.save(tensors, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=said) as caught:
        Utmos(tmp_path / "other.pt", allow_pickle=True)
    assert caught.value.code == "CHECKPOINT_INVALID" and PUBLISHED in str(caught.value)


def test_what_is_not_defined_has_a_reason(weights, tmp_path):
    rater = Utmos(weights, allow_pickle=True)
    long = np.full(121 * 16_000, 0.1, np.float32)
    for name, samples, code in (
        ("short", np.full(7_999, 0.1, np.float32), "AUDIO_TOO_SHORT"),
        ("silent", np.zeros(16_000, np.float32), "AUDIO_SILENT"),
        ("long", long, "AUDIO_TOO_LONG"),
    ):
        soundfile.write(tmp_path / f"{name}.wav", samples, 16_000)
        with pytest.raises(AudioError, match=name) as caught:
            rater.rate(tmp_path / f"{name}.wav")
        assert caught.value.code == code
    with pytest.raises(ConfigError, match="device"):
        Utmos(weights, device="no such device", allow_pickle=True)


def test_sizes_of_the_published_file():
    """The base kind of wav2vec 2.0 has 94.4 million numbers; the rest is of the sizes that are published."""
    shapes = {
        "wav2vec2.encoder.pos_conv.0.weight_v": (768, 48, 128), "wav2vec2.encoder.layers.11.fc2.bias": (768,),
        "wav2vec2.encoder.layers.0.fc1.weight": (3072, 768),
    }  # fmt: skip
    for layer, kernel in enumerate(KERNELS):
        shapes[f"wav2vec2.feature_extractor.conv_layers.{layer}.0.weight"] = (512, 512 if layer else 1, kernel)
    config = utmos.infer_config({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})
    assert (config.num_hidden_layers, config.num_attention_heads, config.num_conv_pos_embedding_groups) == (12, 12, 16)
    import transformers

    with torch.device("meta"):
        model: nn.Module = transformers.Wav2Vec2Model(config)
    assert sum(value.numel() for value in model.parameters()) == pytest.approx(94.4e6, rel=1e-3)
