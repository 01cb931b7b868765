"""The layout that wav2vec 2.0 and its kin were published in, and the names that transformers has for it.

Judges whose weights are such a file (`unispeech_verifier`, `utmos`) read it as it is: every tensor of the network has
one published name, sizes are seen in shapes, and a file that does not hold exactly these tensors is refused.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from resgen_tts.common.errors import CheckpointError

# What no tensor's shape tells, of all of them.
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)

Renames = Sequence[tuple[str, str]]  # patterns of names here, and what is published in their place
NAMES: Renames = (
    (r"^masked_spec_embed$", "mask_emb"),
    (r"^feature_extractor\.conv_layers\.(\d+)\.conv\.", r"feature_extractor.conv_layers.\1.0."),
    (r"^feature_projection\.layer_norm\.", "layer_norm."),
    (r"^feature_projection\.projection\.", "post_extract_proj."),
    (r"^encoder\.pos_conv_embed\.conv\.", "encoder.pos_conv.0."),
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
    (r"(\.layers\.\d+)\.layer_norm\.", r"\1.self_attn_layer_norm."),
    (r"\.attention\.gru_rel_pos_linear\.", ".self_attn.grep_linear."),
    (r"\.attention\.gru_rel_pos_const$", ".self_attn.grep_a"),
    (r"\.attention\.rel_attn_embed\.", ".self_attn.relative_attention_bias."),
    (r"\.attention\.(\w)", r".self_attn.\1"),
    (r"\.feed_forward\.intermediate_dense\.", ".fc1."),
    (r"\.feed_forward\.output_dense\.", ".fc2."),
)
_CONV_NORM = r"^feature_extractor\.conv_layers\.(\d+)\.layer_norm\."


def encoder_names(norm: str) -> Renames:
    """All renames of an encoder.

    Args:
        norm: its ``feat_extract_norm``: "layer", a norm in every convolution, or "group", one in the first.
    """
    place = r"feature_extractor.conv_layers.\1.2." + ("1." if norm == "layer" else "")
    return (*NAMES, (_CONV_NORM, place))


def published_names(part: nn.Module, renames: Renames, prefix: str = "") -> dict[str, str]:
    """Name of every tensor of a network -> its published name."""
    names = {}
    for ours in part.state_dict():
        theirs = ours
        for pattern, replacement in renames:
            theirs = re.sub(pattern, replacement, theirs)
        names[ours] = prefix + theirs
    assert len(set(names.values())) == len(names)
    return names


def num_layers(published: Iterable[str], prefix: str) -> int:
    """Layers of the encoder whose names begin so, at least one."""
    numbers = (re.match(re.escape(prefix) + r"encoder\.layers\.(\d+)\.", name) for name in published)
    return 1 + max((int(number[1]) for number in numbers if number), default=0)


def shape_of(published: Mapping[str, Tensor], name: str, axes: int, *, what: str, hint: str) -> tuple[int, ...]:
    """Sizes of a tensor that has to be there.

    Args:
        published: names and tensors of the file.
        name: of the tensor.
        axes: how many it has to have.
        what: names the judge in errors, e.g. "verifier of UniSpeech".
        hint: where the right file is to be had.
    Raises:
        CheckpointError: it is missing, has another number of axes, or is empty.
    """
    if name not in published:
        raise CheckpointError(f"the file lacks {name}; it is no {what}.", hint=hint)
    if published[name].ndim != axes or 0 in published[name].shape:
        raise CheckpointError(f"{name} has the shape {_sizes(published[name].shape)}.", hint=hint)
    return tuple(published[name].shape)


def refuse_others(
    expected: Mapping[str, Sequence[int]], published: Mapping[str, Tensor], *, what: str, hint: str
) -> None:
    """Refuse all that is not exactly the expected set of tensors.

    Args:
        expected: published name -> shape.
        published, what, hint: as in `shape_of`.
    Raises:
        CheckpointError: the first tensors that lack, are unknown or have another shape are named.
    """
    lacking = [name for name in expected if name not in published]
    unknown = [name for name in published if name not in expected]
    bent = [
        f"{name} ({_sizes(published[name].shape)}, not {_sizes(size)})"
        for name, size in expected.items()
        if name in published and tuple(published[name].shape) != tuple(size)
    ]
    kinds = {"are missing": lacking, "are unknown": unknown, "have another shape": bent}
    wrong = [f"{len(names)} {kind}: {', '.join(names[:4])}" for kind, names in kinds.items() if names]
    if wrong:
        raise CheckpointError(f"the tensors are not those of a {what}; {'; '.join(wrong)}.", hint=hint)


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "no axis"
