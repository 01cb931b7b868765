"""Where a model is computed: the device that was asked for, or the one that "auto" finds."""

from collections.abc import Callable

from resgen_tts.common.errors import ConfigError, DeviceError

AUTO = "auto"


def choose_device(device: str, say: Callable[[str], object]) -> str:
    """ "cpu", "cuda" or "cuda:N" of what was asked for; "auto" says what it chose.

    Raises:
        ConfigError: USAGE, there is no such kind of device.
        DeviceError: DEVICE_MISSING, there is none of it here.
    """
    import torch

    if device == AUTO:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        say(f"device: {device}\n")
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (":" in device and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"--device must be auto, cpu, cuda or cuda:N, got {device!r}.", code="USAGE")
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "--device is cuda, but torch sees no GPU.", hint="Use auto or cpu; resgen-tts doctor says why."
        )
    if number and int(number) >= torch.cuda.device_count():
        raise DeviceError(
            f"--device is {device}, and torch sees {torch.cuda.device_count()} GPUs.", hint="They are numbered from 0."
        )
    return device
