"""Other projects' own packages: where they are absent these tests are skipped, and say so."""

import importlib.util

import pytest

from resgen_tts.common import torchaudio_hook, torchvision_hook

PACKAGES = ("torchaudio", "encodec", "dac", "vocos", "torchvision", "torch_fidelity")


def pytest_collection_modifyitems(items):
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        torchaudio_hook.install()
        torchvision_hook.install()
        return
    reason = f"{', '.join(missing)} not installed: bash tools/test_overlay.sh codecs"
    for item in items:
        if item.path.parent.name == "codecs":
            item.add_marker(pytest.mark.skip(reason=reason))
