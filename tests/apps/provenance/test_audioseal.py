"""AudioSeal from files: networks of its own make with random weights, as it publishes them and as it keeps them now.

Nothing is said here about whether its trained mark is found: those weights are in no package.
"""

import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from resgen_tts.apps.cli import main
from resgen_tts.apps.provenance.watermark import load_watermarker
from resgen_tts.common.errors import WatermarkError
from tests.apps.provenance.sounds import voice_like

TOOL = Path(__file__).parents[3] / "tools" / "convert_audioseal.py"
IS_THERE = importlib.util.find_spec("audioseal") is not None
needs_package = pytest.mark.skipif(
    not IS_THERE, reason="audioseal is not installed: pip install 'resgen_tts[audioseal]'"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small networks with their cards; the detector answers by a bias, so that what it says can be known."""
    from resgen_tts.apps.provenance import audioseal as own

    audioseal = own._package()
    root = tmp_path_factory.mktemp("audioseal")
    for part in own.PARTS:
        card = own._card(audioseal, root, part)
        card["seanet"] |= {"n_filters": 2, "dimension": 4, "lstm": 1, "ratios": [4, 2]}
        (root / f"{part}.yaml").write_text(yaml.safe_dump(card))
        torch.manual_seed(0)
        network = own._built(audioseal, part, card)
        state = {name: value.contiguous().clone() for name, value in network.state_dict().items()}
        if part == "detector":
            state["detector.1.weight"].zero_()
            state["detector.1.bias"].copy_(torch.tensor([0.0, 5.0] + [0.0] * 16))  # "marked", always
        save_file(state, root / f"{part}.safetensors")
    return root


def as_published(folder, target):
    """The same weights under the names of the published files, each split into a length and a direction."""
    from omegaconf import OmegaConf
    from safetensors.torch import load_file

    for part in ("generator", "detector"):
        state = {}
        for name, value in load_file(folder / f"{part}.safetensors").items():
            plain = name.replace(".inner_conv", "")
            if plain != name and plain.endswith("weight"):
                state[f"{plain}_g"] = value.norm(dim=tuple(range(1, value.ndim)), keepdim=True)
                state[f"{plain}_v"] = 3 * value
            else:
                state[plain] = value
        settings = OmegaConf.load(folder / f"{part}.yaml")
        torch.save({"xp.cfg": settings, "model": state}, target / f"{part}.pth")
        (target / f"{part}.yaml").write_bytes((folder / f"{part}.yaml").read_bytes())


@needs_package
def test_the_mark_is_added_in_its_band_and_is_the_same_each_time(folder):
    marker = load_watermarker(f"audioseal:{folder}")
    assert marker.name == "audioseal"
    for rate in (16_000, 24_000):
        plain = voice_like(2.0, rate)
        marked = marker.mark(plain, rate)
        assert marked.dtype == np.float32 and marked.shape == plain.shape and not np.array_equal(marked, plain)
        assert np.array_equal(marker.mark(plain, rate), marked)
        assert np.abs(marked).max() <= 1
    loud = plain / np.abs(plain).max()
    assert np.abs(marker.mark(loud, 24_000)).max() <= 1
    assert not marker.mark(np.zeros(100, np.float32), 16_000).any()


@needs_package
def test_it_is_what_the_package_adds(folder):
    from resgen_tts.apps.provenance import audioseal as own

    network = own._network(own._package(), folder, "generator").eval()
    plain = voice_like(1.0)
    with torch.inference_mode():
        theirs = network(torch.from_numpy(plain)[None, None], message=torch.zeros(1, 16, dtype=torch.long))[0, 0]
    np.testing.assert_allclose(load_watermarker(f"audioseal:{folder}").mark(plain, 16_000), theirs, atol=1e-6)


@needs_package
@pytest.mark.parametrize("num_samples", [0, 1, 100, 1601])
def test_pieces_of_any_length(folder, num_samples):
    marker = load_watermarker(f"audioseal:{folder}")
    piece = voice_like(1.0)[:num_samples]
    assert marker.mark(piece, 24_000).shape == piece.shape
    assert marker.detect(piece, 24_000) == float(num_samples > 0)  # this detector always says so


@needs_package
def test_published_files_are_converted_and_give_the_same_mark(folder, tmp_path, capsys):
    from resgen_tts.apps.provenance import audioseal as own

    as_published(folder, tmp_path)
    sources = [str(tmp_path / f"{part}.pth") for part in ("generator", "detector")]
    done = subprocess.run([sys.executable, str(TOOL), *sources, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("generator.pth, SHA-256 ")
    plain = voice_like(1.0)
    marked = load_watermarker(f"audioseal:{tmp_path}").mark(plain, 16_000)
    np.testing.assert_allclose(marked, load_watermarker(f"audioseal:{folder}").mark(plain, 16_000), atol=1e-6)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", FutureWarning)  # of the package
        theirs = own._package().AudioSeal.load_generator(sources[0]).eval()
        expected = theirs(torch.from_numpy(plain)[None, None], message=torch.zeros(1, 16, dtype=torch.long))[0, 0]
    np.testing.assert_allclose(marked, expected, atol=1e-6)


@needs_package
def test_detect_uses_it(folder, tmp_path, capsys):
    import soundfile

    soundfile.write(tmp_path / "a.wav", voice_like(2.0), 16_000)
    assert main(["detect", "--watermark", f"audioseal:{folder}", str(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().out.startswith("a.wav: marked (audioseal 1.00, all of 2.0 s)")


@needs_package
@pytest.mark.parametrize("harm", ["other names", "other sizes", "cut short", "no card"])
def test_weights_of_other_networks_are_refused(folder, tmp_path, harm):
    from safetensors.torch import load_file

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    file = tmp_path / "generator.safetensors"
    state = load_file(file)
    if harm == "other names":
        state["encoder.extra"] = state.pop(next(name for name in state if name.startswith("encoder")))
        save_file(state, file)
    elif harm == "other sizes":
        save_file({name: torch.zeros(3) for name in state}, file)
    elif harm == "cut short":
        file.write_bytes(file.read_bytes()[:200])
    else:
        (tmp_path / "generator.yaml").write_text("name: nothing\n")
    with pytest.raises(WatermarkError) as caught:
        load_watermarker(f"audioseal:{tmp_path}")
    assert caught.value.code == "WATERMARK_FAILED" and caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_files_or_a_package_that_are_not_there(tmp_path):
    with pytest.raises(WatermarkError) as caught:
        load_watermarker(f"audioseal:{tmp_path}")
    assert caught.value.code == "WATERMARK_MISSING" and caught.value.exit_code == 3
    assert ("generator.safetensors" in str(caught.value)) == IS_THERE
