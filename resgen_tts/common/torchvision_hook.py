"""Lets a torchvision wheel that is linked with CUDA be imported beside a CPU build of torch.

The registry has no other wheel. Where its compiled operators cannot be loaded, torchvision goes on without them, but
then describes the results of two that nobody has declared, which torch refuses. The hook declares these two at that
moment; they stay without code, and torchvision's own functions refuse to call them. torch-fidelity, and the image side
of transformers, need none.
"""

import importlib.abc
import sys

# Which module describes the results of the operators, and their declarations there, as the compiled library has them.
_NAME = "torchvision._meta_registrations"
_DECLARATIONS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list = []  # declarations are forgotten with the object that made them


class _Declarations(importlib.abc.MetaPathFinder):
    """Finds no module; makes the declarations when torchvision is about to need them."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == _NAME:
            _declare()


def _declare() -> None:
    import torch

    if torch.version.cuda is not None or torch.version.hip is not None or _declared:
        return
    if hasattr(torch.ops.torchvision, "nms"):  # the compiled library could be loaded after all
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for declaration in _DECLARATIONS:
        library.define(declaration)
    _declared.append(library)


def install() -> None:
    """Register the hook, once; it takes effect when torchvision is imported later, and imports nothing by itself."""
    if not any(isinstance(finder, _Declarations) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Declarations())
