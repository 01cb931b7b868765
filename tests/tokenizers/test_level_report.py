"""Levels of a quantizer: scores counted by hand, and the picture that is written of them."""

import math

import matplotlib.figure
import pytest
import torch
from matplotlib.image import imread

from resgen_tts.tokenizers.level_report import draw_level_report, level_scores, usage

COUNTS = torch.tensor([[4.0, 4.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [2.0, 1.0, 1.0, 0.0]])
ENERGY = torch.tensor([0.5, 0.25, 0.0625])


def test_usage_by_hand():
    in_use, perplexity = usage(COUNTS)
    torch.testing.assert_close(in_use, torch.tensor([0.5, 0.25, 0.75]))
    torch.testing.assert_close(perplexity, torch.tensor([2.0, 1.0, 2**1.5]))  # halves and quarters: 1.5 bits


def test_a_level_that_was_never_used_has_no_usage():
    in_use, perplexity = usage(torch.zeros(1, 4))
    assert in_use.tolist() == [0.0]
    assert perplexity.tolist() == [1.0]


def test_scores_by_name():
    scores = level_scores(COUNTS, ENERGY)
    assert list(scores) == [f"{name}/level_{d:02d}" for name in ("usage", "perplexity", "residual") for d in range(3)]
    assert [scores[f"usage/level_{d:02d}"] for d in range(3)] == [0.5, 0.25, 0.75]
    assert [scores[f"perplexity/level_{d:02d}"] for d in range(3)] == pytest.approx([2, 1, math.sqrt(8)])
    assert [scores[f"residual/level_{d:02d}"] for d in range(3)] == [0.5, 0.25, 0.0625]
    assert all(type(value) is float for value in scores.values())  # they are written as JSON


def test_the_picture_shows_the_scores(tmp_path, monkeypatch):
    drawn = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda self, *a, **kw: (drawn.append(self), save(self, *a, **kw))
    )
    path = tmp_path / "new" / "levels.png"
    draw_level_report(path, COUNTS, ENERGY)
    assert imread(path).shape[:2] == (300, 800)  # 8 x 3 inches at 100 dots
    assert imread(path)[..., :3].std() > 0.05  # something is on it

    codes, energy = drawn[0].axes
    lines = {line.get_label(): line.get_ydata() for line in codes.lines}
    assert list(lines["chosen at all"]) == [0.5, 0.25, 0.75]
    assert list(lines["perplexity"]) == pytest.approx([2 / 4, 1 / 4, math.sqrt(8) / 4])
    assert list(energy.lines[0].get_xdata()) == [0, 1, 2]
    assert list(energy.lines[0].get_ydata()) == [0.5, 0.25, 0.0625]
    assert energy.get_yscale() == "log"
    assert (codes.get_xlabel(), energy.get_xlabel()) == ("level", "level")
    assert codes.get_ylim() == (0, 1.05)


def test_a_residual_of_zero_can_be_drawn(tmp_path):
    draw_level_report(tmp_path / "levels.png", COUNTS, torch.zeros(3))
    draw_level_report(tmp_path / "some.png", COUNTS, torch.tensor([0.5, 0.25, 0.0]))
    assert (tmp_path / "levels.png").stat().st_size > 1000


def test_the_same_levels_give_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        draw_level_report(tmp_path / name, COUNTS, ENERGY)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
