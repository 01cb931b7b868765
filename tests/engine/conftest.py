"""Drawing curves takes longer than the toy runs: only the test that asks for them gets real ones."""

import pytest

from resgen_tts.engine import loop


@pytest.fixture
def real_curves() -> None:
    """Ask for the picture."""


@pytest.fixture(autouse=True)
def _quick_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_curves" not in request.fixturenames:
        monkeypatch.setattr(loop, "draw_curves", lambda folder: (folder / "curves.png").write_bytes(b"not drawn"))
