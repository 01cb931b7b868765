"""Samplers from words: what is named changes, nothing else does, and nonsense is refused."""

from dataclasses import replace

import pytest

from resgen_tts.apps.bench.sampler_words import changed
from resgen_tts.common.errors import ConfigError
from resgen_tts.core.sampler_config import SamplerConfig

BASE = SamplerConfig(top_p=0.5, guidance_start=1.5, guidance_end=1.5)


def test_named_settings_change_and_others_stay():
    assert changed(BASE, []) == BASE
    assert changed(BASE, ["steps=4", "temperature=0", "schedule=power:2"]) == replace(
        BASE, steps=4, temperature=0.0, schedule="power:2"
    )
    assert changed(BASE, ["choice_annealing=true"]) == replace(BASE, choice_annealing=True)


def test_guidance_is_one_weight_or_a_ramp():
    assert changed(BASE, ["guidance=2"]) == replace(BASE, guidance_start=2.0, guidance_end=2.0)
    assert changed(BASE, ["guidance=1:3"]) == replace(BASE, guidance_start=1.0, guidance_end=3.0)


@pytest.mark.parametrize("word", ["steps", "steps=", "stepps=4", "steps=four", "steps=2.5", "top_p=2", "guidance=1:x"])
def test_nonsense_is_refused(word):
    with pytest.raises(ConfigError):
        changed(BASE, [word])
