"""Speed: factors by hand, cold and warm apart, and nothing made up where a run did not measure it."""

import pytest

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.speed import summarize_speed

RUN = {
    "threads": [1],
    "speed": {
        "load_seconds": 2.0, "first_seconds": 6.0, "first_output_seconds": 4.0, "peak_memory_mib": 700,
    },
}  # fmt: skip


def test_it_is_all_computing_over_all_audio():
    found = summarize_speed([1.0, 9.0], [1.0, 1.0])
    assert found.real_time_factor == pytest.approx(0.2)
    assert found.slowest == 1.0 and found.median == pytest.approx((1 + 1 / 9) / 2)
    with pytest.raises(DataError):
        summarize_speed([], [])
    with pytest.raises(DataError):
        summarize_speed([0.0], [1.0])


def test_warm_leaves_out_the_first_item():
    assert summarize_speed([4.0, 6.0, 2.0], [4.0, 1.0, 1.0]).warm_real_time_factor == pytest.approx(2 / 8)
    assert summarize_speed([4.0], [4.0]).warm_real_time_factor is None


def test_cold_is_loading_and_the_first_output():
    found = summarize_speed([4.0, 6.0], [4.0, 1.0], RUN)
    assert (found.cold_seconds, found.cold_real_time_factor, found.peak_memory_mib) == (6.0, 1.5, 700.0)
    assert found.first_audio_seconds is None  # whole outputs were made, no stream
    streamed = {"speed": RUN["speed"] | {"first_audio_seconds": 0.4}}
    assert summarize_speed([4.0], [4.0], streamed).first_audio_seconds == 0.4


def test_runs_from_before_the_new_name_are_read():
    old = {"speed": {"first_seconds": 6.0, "first_audio_seconds_of_output": 3.0}}
    assert summarize_speed([3.0], [4.0], old).cold_real_time_factor == 2.0
    both = {"speed": old["speed"] | {"first_output_seconds": 4.0}}
    assert summarize_speed([4.0], [4.0], both).cold_real_time_factor == 1.5


@pytest.mark.parametrize("run", [None, {}, {"speed": None}, {"speed": {}}, {"speed": {"load_seconds": 1.0}}])
def test_what_was_not_measured_is_none(run):
    found = summarize_speed([1.0, 1.0], [1.0, 2.0], run)
    told = (found.cold_seconds, found.cold_real_time_factor, found.first_audio_seconds, found.peak_memory_mib)
    assert told == (None,) * 4 and found.real_time_factor == 1.5
    partly = summarize_speed([1.0], [1.0], {"speed": {"first_seconds": 3.0}})
    assert partly.cold_seconds == 3.0 and partly.cold_real_time_factor is None


@pytest.mark.parametrize("value", [0, -1.0, "3", True, float("nan"), float("inf")])
def test_nonsense_in_a_run_is_refused_by_name(value):
    with pytest.raises(DataError, match=r"speed\.first_seconds"):
        summarize_speed([1.0], [1.0], {"speed": {"first_seconds": value}})
