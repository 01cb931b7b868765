"""Lets a torchaudio wheel that is linked with CUDA be imported beside a CPU build of torch.

The registry has no other wheel. Its submodule ``_extension`` loads the compiled libraries, which fails without CUDA's;
the Python code does without them. The hook puts a submodule without libraries in that place. Codecs of other projects,
and most models of transformers where torchaudio is installed, can then be imported.
"""

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType

_NAME = "torchaudio._extension"


class _WithoutLibraries(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``torchaudio._extension``, unless torch is built for a GPU, and makes it of what torchaudio asks it for."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != _NAME or _is_gpu_build():
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec):
        return None  # Python's own kind

    def exec_module(self, module: ModuleType) -> None:
        for flag in ("_IS_TORCHAUDIO_EXT_AVAILABLE", "_IS_ALIGN_AVAILABLE", "_IS_RNNT_AVAILABLE"):
            setattr(module, flag, False)
        module._check_cuda_version = lambda: None
        module._load_lib = lambda name: False
        module.fail_if_no_align = _refused


def _is_gpu_build() -> bool:
    import torch

    return torch.version.cuda is not None or torch.version.hip is not None


def _refused(function):
    """In the place of a function of the compiled libraries."""

    def refuse(*args, **kwargs):
        raise RuntimeError(f"torchaudio's {function.__name__} needs libraries that a CPU build of torch cannot load")

    return refuse


def install() -> None:
    """Register the hook, once; it takes effect when torchaudio is imported later, and imports nothing by itself."""
    if not any(isinstance(finder, _WithoutLibraries) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutLibraries())
