"""Every scheme of the catalogue speaks: aligned text in, through the folders that training leaves, sound out."""

import numpy as np
import pytest
import soundfile
import torch

from resgen_tts.apps.weights.pretrained import load_generator, load_mel_vae, load_system
from resgen_tts.common.config import to_plain
from resgen_tts.common.errors import CheckpointError
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.engine.checkpoint import load_model, save_model
from resgen_tts.models.catalog import SCHEMES
from resgen_tts.speech.generator import SpeechGenerator, SpeechGeneratorConfig

SMALL = {"width": 16, "layers": 1, "heads": 2, "condition_dim": 8}
MORE = {
    "resgen": {"components": 4, "rank": 2},
    "ar_resgen": {"components": 4, "rank": 2, "mlp_layers": 1},
    "rq_transformer": {"depth_layers": 1},
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_speaks(scheme, experiment, reference, tmp_path):
    trained, inventory = load_generator(experiment / "generator")
    sizes = SCHEMES[scheme].config(**SMALL, **MORE.get(scheme, {}))
    config = SpeechGeneratorConfig(aligner=trained.config.aligner, generator=sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SpeechGenerator(config, load_mel_vae(experiment / "mel_vae").code_space)
    model.aligner.load_state_dict(trained.aligner.state_dict())
    resolved = {
        "part": "generator", "scheme": scheme, "model": to_plain(config),
        "inventory": {"units": inventory.units, "symbols": list(inventory.symbols)},
    }  # fmt: skip
    save_model(tmp_path / "generator", model.state_dict(), resolved)
    system = load_system(experiment / "mel_vae", experiment / "vocoder", tmp_path / "generator")
    wave, rate = soundfile.read(reference, dtype="float32")
    assert rate == system.tokenizer.sample_rate
    voice = system.voice(wave, "some words")
    said = [system("hello", voice, seed=seed, sampler=SamplerConfig(steps=3)) for seed in (1, 1, 2)]
    assert np.isfinite(said[0].audio).all() and len(said[0].audio) > 0
    assert np.array_equal(said[0].codes, said[1].codes)
    assert not np.array_equal(said[0].codes, said[2].codes)


def test_a_generator_from_before_the_schemes_is_refused_with_a_word(experiment, tmp_path):
    tensors, config = load_model(experiment / "generator" / "final")
    del config["scheme"]
    save_model(tmp_path / "old", tensors, config)
    with pytest.raises(CheckpointError, match="CHECKPOINT_VERSION"):
        load_generator(tmp_path / "old")
