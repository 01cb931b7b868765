"""The bench of speed: what a fresh process tells, figures by hand, and a failure that is not hidden."""

import importlib.util
import sys
from pathlib import Path

import pytest

from resgen_tts.common.run_dir import read_json

TOOL = Path(__file__).parents[2] / "tools" / "bench" / "synthesis_speed.py"
SPEC = importlib.util.spec_from_file_location("synthesis_speed", TOOL)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)


def told(cold: float, warm: list[float]) -> dict:
    return {
        "seconds_of_audio": 4.0, "chunks": 1, "import_seconds": 1.0, "load_seconds": 0.5, "cold_seconds": cold,
        "start_to_file_seconds": cold + 1.5, "warm_real_time_factors": warm, "processor_factors": warm,
        "first_audio_seconds": [4 * value for value in warm], "peak_memory_mib": 100.0 * cold,
    }  # fmt: skip


def test_figures_by_hand():
    row = bench.summarize([told(2.0, [0.1, 0.5]), told(4.0, [0.3])])
    assert row["warm_real_time_factors"] == {"median": 0.3, "least": 0.1, "greatest": 0.5}
    assert row["cold_seconds"]["median"] == 3.0 and row["cold_real_time_factors"]["median"] == 0.75
    assert row["peak_memory_mib"]["greatest"] == 400.0
    facts = dict.fromkeys(("model", "voice", "steps", "seed", "hardware", "load_average", "commit", "command"), "x1")
    text = bench.markdown({"rows": [{"text": "short", "threads": 2, **row}], **facts})
    assert "| short | 4.00 s | 1 | 2 | 4.50 s | 1.00 s | 0.50 s | 3.00 s | 0.75 | 0.30 (0.10 to 0.50) |" in text
    assert "1.20 (0.40 to 2.00) s | 400 MiB |" in text and "* commit: x1" in text and bench.COLD in text


def test_a_process_that_fails_is_an_error_with_its_words():
    job = {"threads": 1, "model": "no-such-model", "text": "Hello.", "seed": 0, "steps": None, "repeats": 1}
    with pytest.raises(RuntimeError, match="no-such-model"):
        bench.fresh_process({**job, "voice": None, "ref_audio": None, "ref_text": None})


@pytest.mark.slow
def test_the_bundled_model(tmp_path, monkeypatch, capsys):
    file = tmp_path / "speed.json"
    words = ["synthesis_speed.py", "--texts", "short", "--repeats", "1", "--steps", "2", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", words)
    bench.main()
    (row,) = read_json(file)["rows"]
    assert (row["text"], row["threads"], row["chunks"]) == ("short", 1, 1) and 0.5 < row["seconds_of_audio"] < 6
    seconds = {name: row[f"{name}_seconds"]["median"] for name in ("import", "load", "cold", "start_to_file")}
    assert 0 < seconds["load"] < seconds["cold"] < seconds["start_to_file"] - seconds["import"]
    # One text again is faster than the same with loading, and its stream has one chunk: all of it.
    assert row["warm_real_time_factors"]["median"] < row["cold_real_time_factors"]["median"]
    assert row["first_audio_seconds"]["median"] > 0 and 50 < row["peak_memory_mib"]["median"] < 4000
    assert "| short |" in capsys.readouterr().out
