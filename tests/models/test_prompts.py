"""Prompts: guidance against a pass without them, items that lose them in training, and their kept keys and values."""

from dataclasses import replace

import pytest
import torch

from resgen_tts.common.errors import ConfigError
from resgen_tts.core.guidance import guide
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models import masked_tokens as masked_tokens_module
from resgen_tts.models import resgen as resgen_module
from resgen_tts.models.catalog import build_generator
from resgen_tts.models.conditioning import Condition, TextMemory, at_frames, place_in_parts, without_prompt
from resgen_tts.models.direct_tokens import DirectTokensConfig
from resgen_tts.models.maskgit_rvq import MaskgitRvqConfig
from resgen_tts.models.prompted import PromptedTrunk
from resgen_tts.models.trunk import CodeGenerator, TrunkConfig
from tests.models.toys import AR_RESGEN, DEPTH, RESGEN, RQ_TRANSFORMER, SIZE, rng, toy_space

DIRECT = DirectTokensConfig(width=48, layers=2, heads=2, condition_dim=5)
MASKGIT = MaskgitRvqConfig(width=48, layers=2, heads=2, condition_dim=5)
PARALLEL = {"resgen": RESGEN, "direct_tokens": DIRECT, "maskgit_rvq": MASKGIT}
FRAMES, PROMPT, SYMBOLS, PROMPT_SYMBOLS = 10, 4, 7, 3
STEPS = SamplerConfig(steps=4, top_p=1e-6, temperature=0.0, choice_temperature=0.0)
parallel = pytest.mark.parametrize("config", PARALLEL.values(), ids=PARALLEL)


def crossed(config: TrunkConfig) -> TrunkConfig:
    """The same scheme over a text that it attends to."""
    return replace(config, condition_dim=0, cross_dim=6)


def text_memory(batch: int = 2) -> TextMemory:
    """Features of a prompt's and a target's text."""
    count, first = torch.tensor([SYMBOLS] * batch), torch.tensor([PROMPT_SYMBOLS] * batch)
    return TextMemory(
        torch.randn(batch, SYMBOLS, 6, generator=rng(3)),
        torch.zeros(batch, SYMBOLS, dtype=torch.bool),
        place_in_parts(count, first, SYMBOLS),
        place_in_parts(torch.tensor([FRAMES] * batch), torch.tensor([PROMPT] * batch), FRAMES),
    )


def prompted(config: TrunkConfig) -> tuple[CodeGenerator, torch.Tensor, Condition, torch.Tensor, torch.Tensor]:
    """A model whose null is unlike any condition, two items of codes, their condition, and where the target is."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_generator(config, toy_space()).eval()
        for parameter in model.head.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        if model.trunk.conditioning.null_features is not None:
            model.trunk.conditioning.null_features.normal_(generator=rng(4))
    codes = torch.randint(0, SIZE, (2, FRAMES, DEPTH), generator=rng(5))
    condition = text_memory() if config.cross_dim else torch.randn(2, FRAMES, 5, generator=rng(9))
    is_target = (torch.arange(FRAMES) >= PROMPT).expand(2, -1).clone()
    return model, codes, condition, is_target, torch.zeros_like(is_target)


def cut(condition: Condition) -> Condition:
    """The condition of an utterance that never had the prompt."""
    condition = at_frames(condition, PROMPT, FRAMES)
    if not isinstance(condition, TextMemory):
        return condition
    own = slice(PROMPT_SYMBOLS, None)
    return TextMemory(
        condition.features[:, own], condition.is_padding[:, own], condition.symbol_place[:, own], condition.frame_place
    )


@pytest.mark.parametrize("config", [RESGEN, crossed(RESGEN)], ids=["aligned", "cross"])
@torch.no_grad()
def test_a_prompt_made_padding_equals_a_prompt_cut_off(config):
    model, codes, condition, is_target, is_padding = prompted(config)
    hidden = is_target[..., None].expand_as(codes)
    sampler = SamplerConfig(guidance_end=2.0, guidance_null="prompt")
    null, null_padding = model.null_inputs(sampler, condition, is_target, is_padding)
    padded = model.trunk(model.visible_input(codes, hidden), hidden, null, null_padding)
    short, short_hidden = codes[:, PROMPT:], hidden[:, PROMPT:]
    alone = model.trunk(model.visible_input(short, short_hidden), short_hidden, cut(condition))
    torch.testing.assert_close(padded[:, PROMPT:], alone, atol=1e-5, rtol=1e-5)
    seen = model.trunk(model.visible_input(codes, hidden), hidden, condition, is_padding)
    assert not torch.allclose(seen[:, PROMPT:], alone, atol=1e-2)


def first_log_probs(
    model: CodeGenerator, monkeypatch, codes, condition, is_target, is_padding, sampler
) -> torch.Tensor:
    """What the model draws from first: log-weights of the components, or log-probabilities of the coarsest codes."""
    drawn_from = []
    module, name = (resgen_module, "draw_index") if hasattr(model.head, "component_mean") else (
        masked_tokens_module, "draw_code"
    )  # fmt: skip
    inner = getattr(module, name)

    def draw(log_probs, *rest):
        drawn_from.append(torch.log_softmax(log_probs, dim=-1))
        return inner(log_probs, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, draw)
        model.generate(codes, is_target, is_padding, condition, sampler, rng())
    return drawn_from[0].reshape(-1, drawn_from[0].shape[-1])


@parallel
@pytest.mark.parametrize("is_cross", [False, True], ids=["aligned", "cross"])
@pytest.mark.parametrize("lost", ["prompt", "both"])
def test_guidance_is_the_formula_over_two_separate_passes(config, is_cross, lost, monkeypatch):
    model, codes, condition, is_target, is_padding = prompted(crossed(config) if is_cross else config)
    sampler = replace(STEPS, steps=DEPTH, guidance_start=1.7, guidance_end=1.7, guidance_null=lost)
    guided = first_log_probs(model, monkeypatch, codes, condition, is_target, is_padding, sampler)

    plain = replace(sampler, guidance_start=1.0, guidance_end=1.0)
    cond = first_log_probs(model, monkeypatch, codes, condition, is_target, is_padding, plain)
    own, alone = cut(condition), slice(PROMPT, None)
    if lost == "both":
        own = model.trunk.conditioning.null_of(own)
    null = first_log_probs(model, monkeypatch, codes[:, alone], own, is_target[:, alone], is_padding[:, alone], plain)
    wanted = torch.log_softmax(guide(null, cond, 1.7), dim=-1)
    torch.testing.assert_close(guided, wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(guided, cond, atol=1e-2)


@parallel
@pytest.mark.parametrize("lost", ["prompt", "both"])
def test_a_weight_of_one_changes_nothing(config, lost):
    model, codes, condition, is_target, is_padding = prompted(config)

    def made(**changes):
        return model.generate(codes, is_target, is_padding, condition, replace(STEPS, **changes), rng(2))

    plain = made()
    assert torch.equal(made(guidance_start=1 + 1e-9, guidance_end=1 + 1e-9, guidance_null=lost), plain)
    assert not torch.equal(made(guidance_start=9.0, guidance_end=9.0, guidance_null=lost), plain)


@parallel
def test_without_a_prompt_there_is_nothing_to_guide_against(config):
    model, codes, condition, _, is_padding = prompted(config)
    sampler = replace(STEPS, guidance_start=9.0, guidance_end=9.0, guidance_null="prompt")
    everything = torch.ones_like(is_padding)
    made = [model.generate(codes, everything, is_padding, condition, c, rng(2)) for c in (sampler, STEPS)]
    assert torch.equal(*made)


@pytest.mark.parametrize("config", [AR_RESGEN, RQ_TRANSFORMER], ids=["ar_resgen", "rq_transformer"])
def test_frame_by_frame_a_prompt_cannot_be_left_out(config):
    model, codes, condition, is_target, is_padding = prompted(config)
    for lost in ("prompt", "both"):
        with pytest.raises(ConfigError, match="frame by frame"):
            model.generate(
                codes, is_target, is_padding, condition, SamplerConfig(guidance_end=2.0, guidance_null=lost), rng()
            )
    for bad in ({"prompt_dropout": 0.1}, {"both_dropout": 0.1}, {"prompt_attention": "own"}):
        with pytest.raises(ConfigError, match="frame by frame"):
            build_generator(replace(config, **bad), toy_space())


def test_both_needs_a_trained_null_and_prompt_needs_none():
    model, codes, condition, is_target, is_padding = prompted(replace(RESGEN, condition_dropout=0.0))
    guided = replace(STEPS, guidance_end=2.0)
    with pytest.raises(ConfigError, match="both_dropout"):
        model.generate(codes, is_target, is_padding, condition, replace(guided, guidance_null="both"), rng())
    model.generate(codes, is_target, is_padding, condition, replace(guided, guidance_null="prompt"), rng())
    for bad in ({"prompt_dropout": 0.6, "both_dropout": 0.4}, {"prompt_attention": "half"}, {"prompt_dropout": -0.1}):
        with pytest.raises(ConfigError, match=r"generator\."):
            replace(RESGEN, **bad)


@pytest.mark.parametrize("config", [RESGEN, crossed(RESGEN)], ids=["aligned", "cross"])
def test_training_drops_each_in_its_share_and_never_both_by_chance(config):
    shares = {"condition_dropout": 0.2, "prompt_dropout": 0.3, "both_dropout": 0.1}
    conditioning = prompted(replace(config, **shares))[0].train().trunk.conditioning
    items = 4000
    condition = text_memory(items) if config.cross_dim else torch.randn(items, FRAMES, 5, generator=rng(9))
    is_target = (torch.arange(FRAMES) >= PROMPT).expand(items, -1)
    shown, is_padding = conditioning.drop(condition, is_target, torch.zeros_like(is_target), rng(1))
    assert not (is_padding & is_target).any()
    no_prompt = is_padding[:, 0]
    assert torch.equal(is_padding[:, :PROMPT], no_prompt[:, None].expand(-1, PROMPT))
    if config.cross_dim:
        no_text = (shown.features == conditioning.null_features).flatten(1).all(1)
        assert (shown.is_padding.sum(1)[no_text] == SYMBOLS - 1).all()
        text_kept = shown.is_padding[~no_text]
        assert torch.equal(text_kept[:, 0], no_prompt[~no_text]) and not text_kept[:, PROMPT_SYMBOLS:].any()
    else:
        no_text = (shown == conditioning.null_features).flatten(1).all(1)
        assert torch.equal(shown[~no_text], condition[~no_text])
    found = {
        "condition_dropout": no_text & ~no_prompt,
        "prompt_dropout": no_prompt & ~no_text,
        "both_dropout": no_prompt & no_text,
    }
    for name, items_found in found.items():
        share = shares[name]
        assert abs(float(items_found.double().mean()) - share) < 4 * (share * (1 - share) / items) ** 0.5
    same, _ = conditioning.eval().drop(condition, is_target, torch.zeros_like(is_target), rng(1))
    assert same is condition


@pytest.mark.parametrize("config", [RESGEN, crossed(RESGEN), DIRECT], ids=["aligned", "cross", "direct_tokens"])
def test_a_dropped_prompt_has_the_loss_of_an_utterance_that_never_had_it(config):
    model, codes, condition, is_target, is_padding = prompted(config)
    _, plain = model.loss(codes, is_target, is_padding, condition, [rng(1), rng(2)])
    lost = is_padding | ~is_target
    dropped = without_prompt(condition, torch.ones(2, dtype=torch.bool))
    _, without = model.loss(codes, is_target, lost, dropped, [rng(1), rng(2)])
    own = slice(PROMPT, None)
    _, never = model.loss(codes[:, own], is_target[:, own], is_padding[:, own], cut(condition), [rng(1), rng(2)])
    torch.testing.assert_close(without["nats_per_code"], never["nats_per_code"], atol=1e-5, rtol=1e-5)
    assert not torch.isclose(plain["nats_per_code"], never["nats_per_code"], atol=1e-3)


@torch.no_grad()
def test_prompt_frames_that_see_each_other_alone_do_not_hear_the_target():
    model, codes, condition, is_target, is_padding = prompted(replace(RESGEN, prompt_attention="own"))
    hidden = is_target[..., None].expand_as(codes)
    is_prompt = ~is_target

    def states(of: torch.Tensor) -> torch.Tensor:
        return model.trunk(model.visible_input(of, hidden & (of == codes)), hidden, condition, is_padding,
                           is_prompt=is_prompt)  # fmt: skip

    changed = codes.clone()
    changed[:, PROMPT:] = (changed[:, PROMPT:] + 1) % SIZE
    assert torch.equal(states(changed)[:, :PROMPT], states(codes)[:, :PROMPT])
    assert not torch.allclose(states(changed)[:, PROMPT:], states(codes)[:, PROMPT:])
    changed = codes.clone()
    changed[:, 0] = (changed[:, 0] + 1) % SIZE
    assert (states(changed) != states(codes)).any(-1).all()  # and everything hears the prompt


GUIDED = {
    "unguided": {},
    "condition": {"guidance_start": 1.0, "guidance_end": 3.0, "guidance_from": 0.3},
    "prompt": {"guidance_start": 2.0, "guidance_end": 3.0, "guidance_null": "prompt"},
    "both": {"guidance_start": 2.0, "guidance_end": 3.0, "guidance_null": "both"},
}


@parallel
@pytest.mark.parametrize("is_cross", [False, True], ids=["aligned", "cross"])
@pytest.mark.parametrize("changes", GUIDED.values(), ids=GUIDED)
def test_kept_prompt_keys_give_what_the_whole_pass_gives(config, is_cross, changes, monkeypatch):
    config = replace(crossed(config) if is_cross else config, prompt_attention="own")
    model, codes, condition, is_target, is_padding = prompted(config)
    is_target[1, PROMPT] = False  # one prompt is longer: the frames that are prompt in both are kept
    sampler = replace(STEPS, steps=DEPTH, **changes)
    frames, states = [], []
    model.trunk.register_forward_pre_hook(lambda module, inputs: frames.append(inputs[0].shape[1]))
    model.trunk.register_forward_hook(lambda module, inputs, output: states.append(output))
    made = model.generate(codes, is_target, is_padding, condition, sampler, rng(3))
    calls = 2 if changes.get("guidance_from") else 1
    # The prompts, 4 and 5 frames, pass once for each size of batch; then the frames that are not prompt in both.
    assert frames.count(PROMPT + 1) == calls and set(frames) == {PROMPT + 1, FRAMES - PROMPT}
    kept = [state for state in states if state.shape[1] == FRAMES - PROMPT]

    states.clear()
    for module in (resgen_module, masked_tokens_module):
        monkeypatch.setattr(module, "PromptedTrunk", WholePass)
    again = model.generate(codes, is_target, is_padding, condition, sampler, rng(3))
    assert torch.equal(made, again)
    for with_cache, whole in zip(kept, states, strict=True):
        halves = zip(with_cache.split(2), whole.split(2), strict=True)
        for part, wanted in halves:
            torch.testing.assert_close(part[is_target[:, PROMPT:]], wanted[:, PROMPT:][is_target[:, PROMPT:]],
                                       atol=1e-5, rtol=1e-5)  # fmt: skip


class WholePass(PromptedTrunk):
    """Nothing is kept, and nothing cut off."""

    def __init__(self, *inputs):
        super().__init__(*inputs)
        self.num_kept = 0

    def _unprompted(self, *inputs):
        return self(*inputs)


@parallel
@pytest.mark.parametrize("is_cross", [False, True], ids=["aligned", "cross"])
def test_a_pass_without_prompt_leaves_out_the_frames_that_no_item_sees(config, is_cross, monkeypatch):
    model, codes, condition, is_target, is_padding = prompted(crossed(config) if is_cross else config)
    is_target[1, PROMPT - 1] = True  # the second item's prompt is shorter
    hidden = is_target[..., None].expand(-1, -1, DEPTH)
    trunk, lengths = PromptedTrunk(model, is_target, is_padding), []
    wanted = model.trunk(model.visible_input(codes, hidden), hidden, condition, ~is_target)
    inner = model.trunk.forward

    def forward(visible, *rest, **more):
        lengths.append(visible.shape[1])
        return inner(visible, *rest, **more)

    monkeypatch.setattr(model.trunk, "forward", forward)
    found = trunk._unprompted(codes, hidden, condition, ~is_target)
    torch.testing.assert_close(found[is_target], wanted[is_target], atol=1e-5, rtol=1e-5)
    assert lengths == [FRAMES - PROMPT + 1] and not found[:, : PROMPT - 1].any()
