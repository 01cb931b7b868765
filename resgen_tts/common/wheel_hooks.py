"""What is to be called before transformers is imported, which imports torchaudio and torchvision wherever they are."""

from resgen_tts.common import torchaudio_hook, torchvision_hook


def install() -> None:
    """Let wheels that are linked with CUDA be imported beside a CPU build of torch; costs nothing where none is."""
    torchaudio_hook.install()
    torchvision_hook.install()
