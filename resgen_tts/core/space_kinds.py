"""Code spaces from what was saved of them."""

from collections.abc import Mapping
from dataclasses import fields

from torch import Tensor

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.projected_space import ProjectedCodeSpace

KINDS = (ProjectedCodeSpace, CodeSpace)  # the one that needs most comes first


def code_space_from(tensors: Mapping[str, Tensor], prefix: str = "") -> CodeSpace:
    """The space of ``CodeSpace.tensors``, of the class whose parts are all there.

    Args:
        tensors: what was saved; others among them are left alone.
        prefix: of the names, e.g. ``generator.`` in a generator's weights.
    Raises:
        KeyError: not even the codebooks are there.
    """
    for kind in KINDS:
        names = [item.name for item in fields(kind)]
        if all(prefix + name in tensors for name in names):
            return kind(**{name: tensors[prefix + name] for name in names})
    raise KeyError(f"no code space among {', '.join(sorted(tensors))}")
