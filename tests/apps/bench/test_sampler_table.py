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
    "sampler_table", Path(__file__).parents[3] / "tools" / "bench" / "sampler_table.py"
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
    from resgen_tts.evaluation.judges.pocketsphinx_asr import write_uniform_vocabulary

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
    assert text.count("\n| base |") == text.count("\n| steps=1 | steps 1 | 2/2 |") == 1 and "WER open" not in text
    waves = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.wav")}
    assert len(waves) == 2 * (2 + 2)  # clones and prompts
    monkeypatch.setattr(sys, "argv", [*line, "--cell", "other: top_p=0.3"])
    assert bench.main() == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert all(path.stat().st_mtime_ns == before for path, before in waves.items())
    assert list(read_json(tmp_path / "out" / "table.json")["cells"]) == ["base", "steps=1", "other"]
    monkeypatch.setattr(sys, "argv", [*line, "--threads", "2"])
    assert bench.main() == 0  # kept cells keep the threads of their figures
    kept = read_json(tmp_path / "out" / "table.json")["cells"].values()
    assert {cell["threads"] for cell in kept} == {1} and "thread" not in (
        tmp_path / "out" / "table.md"
    ).read_text().split("* hardware")[1]
    monkeypatch.setattr(sys, "argv", [*line, "--seed", "1"])
    assert bench.main() == 0  # other seeds are other cells: made anew
    assert all(path.stat().st_mtime_ns > before for path, before in waves.items())


FIGURES = {name: [0.5, 0.4, 0.6] for name, _, _ in bench.COLUMNS.values()} | {
    "real_time_factor": 0.2, "real_time_factor_median": 0.1, "cpu_factor": 0.3,
}  # fmt: skip


def test_items_that_failed_are_in_the_table():
    more = {"setting": "s", "wanted": 4, "threads": 2, "commit": "c"}
    cells = {
        "some": {**FIGURES, **more, "items": 3, "failed": {"a": "too short"}},
        "all": {**more, "items": 0, "failed": dict.fromkeys("abcd", "no sound"), "not_scored": "every item failed"},
    }
    text = bench.table(cells, {})
    rows = {line.split(" | ")[0]: line.split(" | ") for line in text.splitlines() if line.startswith("| ")}
    assert rows["| some"][2] == "3/4" and rows["| all"][2] == "0/4"
    assert len(rows["| some"]) == len(rows["| all"]) == len(rows["| cell"])
    assert rows["| all"][3] == "–" and rows["| some"][-2:] == ["2", "c |"]
    assert "* some: 1 of 4 items failed, the first is a: too short" in text and "* all has no figures" in text
    assert "0/4 items, no figures: every item failed" in bench.summary(cells["all"], False)


def test_nothing_spoken_is_a_finding_and_no_stop(tmp_path):
    found = bench.Bench._scored(None, tmp_path, [], {"a": "no sound"})
    assert found == {"items": 0, "not_scored": "every item failed"}
