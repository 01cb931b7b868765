"""``--init``: a run that starts from the weights of a finished part."""

from types import SimpleNamespace

import pytest
import torch

from resgen_tts.apps.training import start_from
from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.tokenizers.vocoder import Vocoder, VocoderConfig


def test_weights_come_from_the_named_part(experiment):
    model = Vocoder(VocoderConfig(dim=16, hidden=16, blocks=1))
    start_from(experiment / "vocoder", "vocoder", model, {})
    again = Vocoder(VocoderConfig(dim=16, hidden=16, blocks=1))
    assert not torch.equal(model.head.weight, again.head.weight)
    start_from(experiment / "vocoder" / "final", "vocoder", again, {})
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert model.head.weight.requires_grad


def test_other_sizes_another_part_or_other_symbols_are_refused(experiment):
    with pytest.raises(ConfigError, match="other sizes"):
        start_from(experiment / "vocoder", "vocoder", Vocoder(VocoderConfig(dim=16, hidden=24, blocks=1)), {})
    with pytest.raises(CheckpointError, match="not a mel_vae"):
        start_from(experiment / "vocoder", "mel_vae", SimpleNamespace(config=None), {})
    with pytest.raises(ConfigError, match="text symbols"):
        model = Vocoder(VocoderConfig(dim=16, hidden=16, blocks=1))
        start_from(experiment / "vocoder", "vocoder", model, {"inventory": {"units": "bytes"}})
