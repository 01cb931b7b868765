"""Code spaces from what was saved of them."""

from collections.abc import Mapping
from dataclasses import fields

from torch import Tensor

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.projected_space import ProjectedCodeSpace

KINDS = (ProjectedCodeSpace, CodeSpace)  # the one that needs most comes first
_PLAIN = tuple(item.name for item in fields(CodeSpace))


def code_space_from(tensors: Mapping[str, Tensor], prefix: str = "") -> CodeSpace:
    """The space of ``CodeSpace.tensors``, of the class whose parts are all there.

    Args:
        tensors: what was saved; others among them are left alone.
        prefix: of the names, e.g. ``generator.`` in a generator's weights.
    Raises:
        KeyError: a part of the space is not there.
    """
    for kind in KINDS:
        own = [item.name for item in fields(kind) if item.name not in _PLAIN]
        if own and not any(prefix + name in tensors for name in own):
            continue
        missing = [name for name in (*_PLAIN, *own) if prefix + name not in tensors]
        if missing:  # a part that is lost must not turn one rule into another
            raise KeyError(f"a {kind.__name__} lacks {', '.join(missing)} among {', '.join(sorted(tensors))}")
        return kind(**{name: tensors[prefix + name] for name in (*_PLAIN, *own)})
    raise AssertionError("the plain space has no parts of its own")
