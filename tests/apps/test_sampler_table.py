"""The table of sampler settings: which cells there are, and that a finished one is not made again."""

import importlib.util
import sys
from pathlib import Path

import pytest

from resgen_tts.common.errors import ConfigError
from resgen_tts.common.run_dir import read_json
from resgen_tts.core.sampler_config import SamplerConfig

for module in ("pocketsphinx", "webrtcvad"):
    pytest.importorskip(module, reason="the extra 'eval' is not installed; the sampler's table is NOT tested")

SPEC = importlib.util.spec_from_file_location(
    "sampler_table", Path(__file__).parents[2] / "tools" / "bench" / "sampler_table.py"
)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)

BASE = SamplerConfig(steps=8, top_p=0.5)


def test_one_factor_at_a_time_and_the_base_once():
    cells = bench.plan(BASE, {"steps": ["4", "8"], "guidance": ["1", "2"]}, ["quick: steps=4 guidance=2"])
    assert list(cells) == ["base", "steps=4", "guidance=2", "quick"]  # 8 steps, and no guidance, are the base
    assert cells["steps=4"][0].guidance_end == 1 and cells["guidance=2"][0].steps == 8
    assert (cells["quick"][0].steps, cells["quick"][0].guidance_end, cells["quick"][1]) == (4, 2.0, "combination")
    assert bench.told(cells["quick"][0], BASE) == "steps 4, guidance_start 2.0, guidance_end 2.0"
    for text in ("quick", "quick:", ": steps=4", "a b: steps=4", "steps=4: steps=4"):
        with pytest.raises(ConfigError):
            bench.plan(BASE, {}, [text])
    with pytest.raises(ConfigError, match="two cells"):
        bench.plan(BASE, {}, ["quick: steps=4", "quick: steps=2"])


@pytest.fixture
def words(tmp_path):
    from resgen_tts.evaluation.pocketsphinx_asr import write_uniform_vocabulary

    write_uniform_vocabulary(tmp_path / "lm", ["the", "cat", "sat"])
    return tmp_path / "lm"


def test_cells_are_made_once_and_tabled(model, reference, words, tmp_path, monkeypatch, capsys):
    import shutil

    shutil.copy(reference, tmp_path / "a.wav")
    shutil.copy(reference, tmp_path / "b.wav")
    table = tmp_path / "items.tsv"
    table.write_text("speaker\taudio\ttext\ttarget\na\ta.wav\tla la la\tthe cat\nb\tb.wav\tla la la\tthe cat sat\n")
    line = ["sampler_table.py", "--model", str(model), "--list", str(table), "--lm", str(words), "--steps", "1", "2"]
    line += ["--base", "steps=2", "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", line)
    assert bench.main() == 0
    capsys.readouterr()
    cells = read_json(tmp_path / "out" / "table.json")["cells"]
    assert list(cells) == ["base", "steps=1"] and cells["steps=1"]["sampler"]["steps"] == 1
    text = (tmp_path / "out" / "table.md").read_text()
    assert text.count("\n| base |") == text.count("\n| steps=1 | steps 1 |") == 1 and "WER open" not in text
    waves = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.wav")}
    assert len(waves) == 2 * (2 + 2)  # clones and prompts
    monkeypatch.setattr(sys, "argv", [*line, "--cell", "other: top_p=0.3"])
    assert bench.main() == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert all(path.stat().st_mtime_ns == before for path, before in waves.items())
    assert list(read_json(tmp_path / "out" / "table.json")["cells"]) == ["base", "steps=1", "other"]
    monkeypatch.setattr(sys, "argv", [*line, "--seed", "1"])
    assert bench.main() == 0  # other seeds are other cells: made anew
    assert all(path.stat().st_mtime_ns > before for path, before in waves.items())
