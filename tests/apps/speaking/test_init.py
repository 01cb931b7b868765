"""``--init``: a run that starts from the weights of a finished part."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from resgen_tts.apps.training.part import start_from
from resgen_tts.apps.weights.parts import read_part
from resgen_tts.common.config import from_plain
from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.tokenizers.mel_vae import MelVAE, MelVAEConfig
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig


def test_weights_come_from_the_named_part(experiment):
    model = Vocoder(VocoderConfig(dim=16, hidden=16, blocks=1))
    start_from(experiment / "vocoder", "vocoder", model)
    again = Vocoder(VocoderConfig(dim=16, hidden=16, blocks=1))
    assert not torch.equal(model.head.weight, again.head.weight)
    start_from(experiment / "vocoder" / "final", "vocoder", again)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert model.head.weight.requires_grad


def test_another_network_or_another_part_are_refused(experiment):
    with pytest.raises(ConfigError, match="another hidden"):
        start_from(experiment / "vocoder", "vocoder", Vocoder(VocoderConfig(dim=16, hidden=24, blocks=1)))
    with pytest.raises(CheckpointError, match="not a mel_vae"):
        start_from(experiment / "vocoder", "mel_vae", SimpleNamespace(config=None))


def test_codebooks_may_go_on_learning_otherwise(experiment):
    config = from_plain(MelVAEConfig, read_part(experiment / "mel_vae", "mel_vae")[1]["model"])
    model = MelVAE(replace(config, quantizer=replace(config.quantizer, decay=0.5, softness=0.0)))
    start_from(experiment / "mel_vae", "mel_vae", model)
    assert bool(model.quantizer.started) and model.quantizer.config.decay == 0.5
