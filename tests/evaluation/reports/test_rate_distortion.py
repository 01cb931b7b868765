"""The written report on a tokenizer: every figure stands in its row, and the curves are drawn of what there is."""

import json

from resgen_tts.evaluation.copy_scores import FIGURES, SystemSummary
from resgen_tts.evaluation.measures.speed import summarize_speed
from resgen_tts.evaluation.measures.statistics import Interval
from resgen_tts.evaluation.reports.rate_distortion import LevelFigures, TokenizerReport, draw_rate_distortion, markdown


def interval(value: float) -> Interval:
    return Interval(value=value, low=value - 0.01, high=value + 0.02)


def system(mel: float, wer: float | None, **more) -> SystemSummary:
    figures = {figure: interval(0.5) for figure in FIGURES} | {"mel_l1": interval(mel), "pesq": more.pop("pesq", None)}
    rates = {"wer": None, "cer": None} if wer is None else {"wer": interval(wer), "cer": interval(wer / 2)}
    values = {"wer_difference": None, "items": 4, "items_with_text": 3, "silent": 0, "left_out": {}}
    return SystemSummary(**({"figures": figures} | rates | values | more))


def report(**more) -> TokenizerReport:
    values = {
        "tokenizer": {"tokenizer": "exp/mel_vae", "vocoder": "", "depth": 2},
        "systems": {
            "recording": system(0.0, 0.1),
            "depth_01": system(0.9, 0.4, wer_difference=interval(0.3), left_out={"pesq": {"AUDIO_SILENT": 4}}),
            "depth_02": system(0.7, None, silent=1),
        },
        "kbps": {"depth_01": 0.1, "depth_02": 0.2},
        "first_level_cycle": {"depth_01": 0.97, "depth_02": 0.9},
        "levels": [
            LevelFigures(usage=0.925, perplexity=201.25, cycle=0.9),
            LevelFigures(usage=1.0, perplexity=2.0, cycle=0.5),
        ],
        "worse_when_deeper": {},
        "speed": {"encode": summarize_speed([10.0], [0.1])},
        "threads": [1],
        "read": 5,
        "used": 4,
        "skipped": {"x": "it is | broken\nindeed"},
        "seconds": 40.0,
        "recognizer": "sphinx",
        "encoder": "prints",
        "has_embedded_scorers": True,
        "seed": 0,
        "data_sha256": "f00d",
    }
    return TokenizerReport(**(values | more))


def test_every_figure_stands_in_its_row():
    text = markdown(report())
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    assert "| 0.100 |" in rows["depth_01"] and "0.900 [0.890, 0.920]" in rows["depth_01"]
    assert "40.0 % [39.0, 42.0]" in rows["depth_01"] and "30.0 [29.0, 32.0]" in rows["depth_01"]
    cells = [cell.strip() for cell in rows["depth_02"].strip("|").split("|")]
    assert cells[5] == "–" and cells[11:] == ["–", "–", "–", "1"]  # no PESQ, not recognised, one silent copy
    assert "F0 error, cents" in text and "DNSMOS" not in text  # which was not asked for
    assert "92.5 %" in rows["0"] and "201.2" in rows["0"] and "90.0 %" in rows["0"]
    assert "100 x" in rows["encode: wave to codes"] and "0.0100" in rows["encode: wave to codes"]
    assert "5 read = 4 used + 1 skipped" in text and "* skipped x: it is | broken indeed" in text
    assert "pesq is not defined for 4 of 4 (4 AUDIO_SILENT)" in text
    assert "WER and CER are over 3 recordings with a text" in text
    assert "depth_01 97.0 %" in text and "true of every figure" in text
    assert "similarity †" in text and "sphinx; prints" in text
    assert json.dumps(report().to_json())


def test_naturalness_has_a_column_where_it_was_rated():
    systems = {name: system(0.5, None) for name in ("recording", "depth_01", "depth_02")}
    systems["depth_01"].figures["naturalness"] = interval(3.25)
    text = markdown(report(systems=systems, rater="ears 2"))
    assert "| DNSMOS OVRL † " in text and "3.250 [3.240, 3.270]" in text and "prints; ears 2" in text


def test_worse_depths_and_large_scorers_are_told():
    worse = {"mel_l1": [("depth_01", "depth_02", interval(0.2))]}
    text = markdown(report(worse_when_deeper=worse, has_embedded_scorers=False))
    assert "not true: mel L1 depth_01 to depth_02 by 0.200 [0.190, 0.220]" in text
    assert "†" not in text


def test_curves_are_drawn_even_where_nothing_was_measured(tmp_path):
    draw_rate_distortion(tmp_path / "full.png", report())
    nothing = {name: system(0.5, None) for name in ("recording", "depth_01", "depth_02")}
    draw_rate_distortion(tmp_path / "empty.png", report(systems=nothing))
    for name in ("full", "empty"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
