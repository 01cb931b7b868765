"""What one update does, and what a poisoned one does not."""

import math

import pytest
import torch
from torch import nn

from resgen_tts.common.errors import ConfigError, DataError, ResGenError
from resgen_tts.common.randomness import generator
from resgen_tts.engine.averaging import AveragedWeights
from resgen_tts.engine.checkpoint import load_checkpoint, load_model
from resgen_tts.engine.loop import NonFiniteError, TrainConfig, fit
from resgen_tts.engine.optim import adamw, decayed_names, schedule_factor
from resgen_tts.engine.poison import load_dump
from resgen_tts.engine.probes import read_metrics
from resgen_tts.engine.task import StepOutput
from tests.engine.toys import ToyBatch, ToyGan, ToyModel, ToyTask


def config(**changes: object) -> TrainConfig:
    values = {"steps": 6, "learning_rate": 1e-2, "log_every": 1, "tensorboard": False, "device": "cpu"}
    return TrainConfig(**(values | changes))


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


class Plain(ToyTask):
    """No dropout, no noise, no batch norm: only the gradient counts."""

    def __init__(self, **options):
        super().__init__(model=ToyModel(dropout=0, norm=False), **options)

    def step(self, model, batch, rng, step):
        self.seen.append(batch.ids[0])
        output = model(batch.x)
        return StepOutput(loss=(output - batch.y).pow(2).mean(), outputs={"output": output})


def test_accumulated_batches_equal_one_large_batch(tmp_path):
    class Joined(Plain):
        def train_batches(self, epoch):
            small = list(super().train_batches(epoch))
            for start in range(0, len(small), 3):
                part = small[start : start + 3]
                yield ToyBatch(
                    ids=sum((b.ids for b in part), ()),
                    x=torch.cat([b.x for b in part]),
                    y=torch.cat([b.y for b in part]),
                )

    small, large = Plain(), Joined()
    fit(small, config(accumulate=3), tmp_path / "small", {})
    fit(large, config(), tmp_path / "large", {})
    assert len(small.seen) == 18 and len(large.seen) == 6
    for (name, one), other in zip(small.model.named_parameters(), large.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6, msg=name)


def test_average_follows_its_closed_form():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    average = AveragedWeights(model, decay=0.6)
    history = [model.weight.detach().clone()]
    for update in range(1, 13):
        model.weight.data += torch.randn(2, 3, generator=generator(0, update))
        history.append(model.weight.detach().clone())
        average.update(update)
    decays = [min(0.6, (1 + n) / (10 + n)) for n in range(1, 13)]
    expected = history[0] * math.prod(decays)
    for n, weights in enumerate(history[1:], start=1):
        expected = expected + weights * (1 - decays[n - 1]) * math.prod(decays[n:])
    torch.testing.assert_close(average.tensors()["weight"], expected)
    assert average.tensors().keys() == {"weight"}, "a frozen parameter is not averaged"
    with average.applied():
        torch.testing.assert_close(model.weight.detach(), expected)
    assert torch.equal(model.weight, history[-1])


@pytest.mark.parametrize("adversarial_start", [None, 0])
def test_a_poisoned_step_changes_nothing(tmp_path, adversarial_start):
    """A run with poisoned batches in the middle stands where a run stands that was never given them."""

    class Clean(ToyGan):
        def train_batches(self, epoch):
            return (b for b in super().train_batches(epoch) if b.ids[0] not in ("0/2", "0/4"))

    settings = config(adversarial_start=adversarial_start, schedule="cosine")
    poisoned, clean = ToyGan(spoil=lambda name: name in ("0/2", "0/4")), Clean()
    one = load_checkpoint(fit(poisoned, settings, tmp_path / "poisoned", {}))
    other = load_checkpoint(fit(clean, settings, tmp_path / "clean", {}))
    assert poisoned.seen == [f"0/{n}" for n in range(8)] and poisoned.accepted == 6
    for group in other.tensors:  # weights, EMA, optimizer, and buffers that the forward pass had already changed
        assert_same(one.tensors[group], other.tensors[group])
    assert one.tensors["model"]["forward_calls"] == 6
    rows = [row for row in read_metrics(tmp_path / "poisoned" / "metrics.jsonl") if row["kind"] == "poisoned"]
    assert [(row["step"], row["batch_ids"], row["loss"]) for row in rows] == [(2, ["0/2"], "inf"), (3, ["0/4"], "inf")]


def test_a_poisoned_discriminator_holds_the_generator_back_too(tmp_path):
    class Critic(ToyGan):
        def discriminator_step(self, discriminator, batch, outputs):
            output = super().discriminator_step(discriminator, batch, outputs)
            output.loss = output.loss * (math.nan if batch.ids == ("0/0",) else 1)
            return output

    task = Critic()
    first = {name: value.clone() for name, value in task.model.state_dict().items()}

    def check(step):
        if task.seen == ["0/0"]:
            assert_same(first, task.model.state_dict())

    task.before_step = check
    fit(task, config(steps=1, adversarial_start=0), tmp_path, {})
    assert task.seen == ["0/0", "0/1"] and task.accepted == 1


def test_ten_poisoned_steps_stop_the_run_with_a_dump_that_replays(tmp_path):
    task = ToyTask(spoil=lambda name: name not in ("0/0", "0/1"))
    with pytest.raises(NonFiniteError, match="10 steps in a row at step 2") as stopped:
        fit(task, config(), tmp_path, {})
    assert len(task.seen) == 12
    tensors, facts = load_dump(stopped.value.dump)
    assert facts["batches"][0]["ids"] == ["1/2"] and facts["loss"] == "inf"
    again = ToyTask()
    again.model.load_state_dict(tensors["model"])
    batch = ToyBatch(ids=tuple(facts["batches"][0]["ids"]), **tensors["batch-0"])
    rng = generator(facts["seed"], "step", facts["step"])
    assert not again.step(again.model, batch, rng, facts["step"]).loss.isfinite()


def test_generator_and_discriminator_alternate(tmp_path):
    task = ToyGan()
    before = {name: value.clone() for name, value in task.discriminator.state_dict().items()}

    def untouched(step):
        if step <= 2:
            assert_same(before, task.discriminator.state_dict())

    task.before_step = untouched
    fit(task, config(steps=8, adversarial_start=2, discriminator_every=3), tmp_path, {})
    # From step 2 on the generator is judged by a frozen discriminator; at 2 and 5 it learns, from detached outputs.
    turns = [("judge", False), ("learn", False), ("judge", False), ("judge", False)] * 2
    assert task.calls == turns[: len(task.calls)] and len(task.calls) == 8
    assert all(parameter.requires_grad for parameter in task.discriminator.parameters())
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "discriminator_loss" in row] == [3, 6]


def test_a_discriminator_learns_to_tell(tmp_path):
    task = ToyGan(batches=50, norm=False)
    start = config(
        steps=150, learning_rate=0.0, adversarial_start=0, discriminator_learning_rate=2e-2, log_every=50, ema_decay=0.0
    )
    fit(task, start, tmp_path, {})
    rows = [row["discriminator_loss"] for row in read_metrics(tmp_path / "metrics.jsonl") if row["kind"] == "train"]
    assert rows[-1] < 0.8 * rows[0]


def test_learning_rate_values():
    def rate(step):
        return schedule_factor(step, steps=110, warmup_steps=10, schedule="cosine")

    assert [rate(0), rate(4), rate(9)] == pytest.approx([0.1, 0.5, 1.0])
    assert [rate(10), rate(35), rate(60), rate(110)] == pytest.approx([1.0, (1 + 0.5**0.5) / 2, 0.5, 0.0])
    assert schedule_factor(10**6, steps=10, warmup_steps=3, schedule="constant") == 1.0


def test_only_matrices_decay_and_the_step_is_fused():
    model = nn.Sequential(
        nn.Linear(3, 4), nn.LayerNorm([2, 4]), nn.Conv1d(2, 2, 3), nn.BatchNorm1d(2), nn.Embedding(5, 2)
    )
    model[4].weight.requires_grad_(False)
    assert decayed_names(model) == {"0.weight", "2.weight"}
    optimizer = adamw(model, learning_rate=1.0, betas=(0.9, 0.99), weight_decay=0.3)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert optimizer.defaults["fused"]


def test_clipping_bounds_the_update_and_zero_turns_it_off(tmp_path):
    """The first moment after one update is (1 - beta1) times the clipped gradient."""
    norms = {}
    for clip in (0.01, 0.0):
        settings = config(steps=1, clip_norm=clip, betas=(0.0, 0.99))
        read = load_checkpoint(fit(Plain(), settings, tmp_path / str(clip), {}))
        moments = [value for name, value in read.tensors["optimizer"].items() if name.endswith("exp_avg")]
        norms[clip] = torch.linalg.vector_norm(torch.stack([m.norm() for m in moments])).item()
    (row,) = [row for row in read_metrics(tmp_path / "0.0" / "metrics.jsonl") if row["kind"] == "train"]
    assert norms[0.01] == pytest.approx(0.01, rel=1e-4)
    assert norms[0.0] == pytest.approx(row["grad_norm"], rel=1e-4) and row["grad_norm"] > 0.1


def test_the_largest_batch_is_tried_first_and_leaves_no_trace(tmp_path):
    class Worst(ToyGan):
        def worst_batch(self):
            return ToyBatch(ids=("worst",), x=torch.ones(64, 4), y=torch.ones(64, 2), seconds=99.0)

    task, plain = Worst(), ToyGan()
    fit(task, config(adversarial_start=3), tmp_path / "probed", {})
    fit(plain, config(adversarial_start=3), tmp_path / "plain", {})
    assert task.seen[0] == "worst" and task.seen[1:] == plain.seen
    assert_same(load_model(tmp_path / "probed" / "final")[0], load_model(tmp_path / "plain" / "final")[0])

    class TooLarge(Worst):
        def step(self, model, batch, rng, step):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with pytest.raises(ResGenError, match=r"99\.0 s, 1 items") as refused:
        fit(TooLarge(), config(), tmp_path / "large", {})
    assert refused.value.code == "OUT_OF_MEMORY"


def test_data_errors_reach_the_caller_and_an_empty_epoch_is_one(tmp_path):
    class Broken(ToyTask):
        def train_batches(self, epoch):
            yield from list(super().train_batches(epoch))[:2]
            raise DataError("train.jsonl:48: duration 0.00 s")

    broken = Broken()
    with pytest.raises(DataError, match=r"train\.jsonl:48"):
        fit(broken, config(), tmp_path / "broken", {})
    assert broken.seen == ["0/0", "0/1"]
    with pytest.raises(DataError, match="has no batch"):
        fit(ToyTask(batches=0), config(), tmp_path / "empty", {})


def test_bf16_trains_with_fp32_weights(tmp_path):
    class Typed(ToyTask):
        def step(self, model, batch, rng, step):
            output = super().step(model, batch, rng, step)
            assert output.outputs["output"].dtype == torch.float32
            return output

    task = Typed(batches=40)
    fit(task, config(steps=120, precision="bf16"), tmp_path, {})
    assert all(value.dtype == torch.float32 for value in task.model.parameters())
    assert sum(task.losses[-20:]) < 0.7 * sum(task.losses[:20])


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"ema_decay": 1.0},
        {"schedule": "linear"},
        {"precision": "fp16"},
        {"betas": (0.9, 1.0)},
        {"clip_norm": -1.0},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainConfig(**wrong)
