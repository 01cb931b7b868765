"""The generator over aligned text, and the task that trains it."""

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.speech.code_task import TextDataConfig
from resgen_tts.speech.corpus import CodeBatches
from resgen_tts.speech.generation_task import GenerationTask
from tests.speech.generator_toys import PER_CODE, rng, toy_aligned, toy_batch


class FixedBatches(CodeBatches):
    """One batch for all."""

    def __init__(self, batch):
        self.batch = batch

    def epoch(self, epoch):
        return [self.batch]

    def fixed(self, num_batches):
        return [self.batch] * num_batches

    def worst(self):
        return self.batch


def test_the_condition_of_a_code_frame_is_a_product_over_its_own_mel_frames():
    model = toy_aligned()
    encoded = torch.randn(1, 3, 16, generator=rng(1))
    durations = torch.tensor([[1, 2, 3]])
    weight, bias = model.to_code_rate.weight, model.to_code_rate.bias
    frames = encoded[0, [0, 1, 1, 2, 2, 2]]
    wanted = [
        sum(weight[:, :, place] @ frames[PER_CODE * code + place] for place in range(PER_CODE)) + bias
        for code in range(3)
    ]
    torch.testing.assert_close(model.condition(encoded, durations, 3)[0], torch.stack(wanted))


@pytest.mark.parametrize("feature_dim", [0, 3])
def test_a_step_trains_every_part_and_reads_text_features(feature_dim):
    batch = toy_batch(feature_dim=feature_dim)
    model = toy_aligned(feature_dim)
    task = GenerationTask(model, FixedBatches(batch), FixedBatches(batch), TextDataConfig(validation_batches=1))
    output = task.step(model, batch, rng(1), 0)
    assert {"nats_per_code", "generator", "align", "duration"} <= set(output.logs)
    torch.testing.assert_close(output.loss.detach(), sum(output.logs[n] for n in ("generator", "align", "duration")))
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.numel())
    with torch.no_grad():
        scores = [task.validate(model.eval(), rng(2)) for _ in range(2)]
    assert scores[0] == scores[1] and next(iter(scores[0])) == "nats_per_code"
    with pytest.raises(ConfigError, match="text features"):
        task.step(model, toy_batch(feature_dim=3 - feature_dim), rng(1), 0)
