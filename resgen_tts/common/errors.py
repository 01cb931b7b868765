"""Errors for users: what failed, on which item, why, and what to do, with a stable code."""

import importlib
from types import ModuleType


class ResGenError(Exception):
    """An error that a user can act on.

    Args:
        message: what failed, on what, and why.
        code: a stable upper-case name.
        hint: what to do next.
    """

    default_code = "INTERNAL"
    exit_code = 2  # the process exit status that the command line gives for it

    def __init__(self, message: str, *, code: str = "", hint: str = ""):
        self.code = code or self.default_code
        if self.code == "INTERNAL":
            self.exit_code = 1  # a fault of the program, whoever noticed it
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" + (f" {self.hint}" if self.hint else "")

    def __reduce__(self):
        # Errors cross process borders (worker pools); the keyword arguments must survive pickling.
        return _rebuild, (type(self), self.message, self.code, self.hint)


def _rebuild(kind: type[ResGenError], message: str, code: str, hint: str) -> ResGenError:
    return kind(message, code=code, hint=hint)


class ConfigError(ResGenError):
    """A configuration value that makes no sense."""

    default_code = "CONFIG_INVALID"


class DeviceError(ConfigError):
    """A device that is not there."""

    default_code = "DEVICE_MISSING"
    exit_code = 3


class DataError(ResGenError):
    """A manifest, list or corpus item that cannot be used."""

    default_code = "DATA_INVALID"


class AudioError(ResGenError):
    """Audio that is refused."""

    default_code = "AUDIO_CORRUPT"


class TextError(ResGenError):
    """Text that is refused."""

    default_code = "TEXT_EMPTY"


class CheckpointError(ResGenError):
    """A checkpoint or model folder that is missing, broken, or of another configuration."""

    default_code = "CHECKPOINT_INVALID"
    exit_code = 3


class WatermarkError(ResGenError):
    """A watermark that cannot be put in or looked for."""

    default_code = "WATERMARK_FAILED"
    exit_code = 3


class MissingExtraError(ResGenError):
    """An optional library that is not installed."""

    default_code = "EXTRA_MISSING"
    exit_code = 3


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional library, or say which extra brings it.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"{module} is not installed.", hint=f"Install it with: pip install 'resgen_tts[{extra}]'"
        ) from error
