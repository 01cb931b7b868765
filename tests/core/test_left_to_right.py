"""The sequential loop: what is fed when, that prompts are kept, and that neighbours and padding do not matter."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.core.left_to_right import left_to_right

DEPTH = 2


class Chain:
    """A toy model: the next frame is a function of a running number, which every finished frame changes."""

    def __init__(self, batch: int):
        self.number = torch.zeros(batch, dtype=torch.long)
        self.fed: list[tuple[int, int]] = []  # (start, frames) of each call

    def advance(self, frames: torch.Tensor, start: int) -> torch.Tensor:
        self.fed.append((start, frames.shape[1]))
        for frame in frames.unbind(1):
            self.number = after(self.number, frame)
        return self.number

    def fill(self, number: torch.Tensor, frame: int) -> torch.Tensor:
        return following(number, frame)


def after(number: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
    return (31 * number + frame @ torch.tensor([3, 7]) + 1) % 1009


def following(number: torch.Tensor, frame: int) -> torch.Tensor:
    return torch.stack([(number + frame) % 10, number % 7], dim=-1)


def plainly(codes: torch.Tensor, is_target: torch.Tensor) -> torch.Tensor:
    """One item, everything computed anew for every frame."""
    codes = codes.clone()
    for frame in range(len(codes)):
        number = torch.zeros((), dtype=torch.long)
        for earlier in codes[:frame]:
            number = after(number, earlier)
        if is_target[frame]:
            codes[frame] = following(number, frame)
    return codes


def run(codes: torch.Tensor, is_target: torch.Tensor, **more):
    chain = Chain(len(codes))
    return left_to_right(chain.advance, chain.fill, codes, is_target, **more), chain.fed


@settings(max_examples=40, deadline=None)
@given(prompts=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=st.integers(0, 99), data=st.data())
def test_every_item_equals_a_plain_loop_over_it_alone(prompts, seed, data):
    lengths = [data.draw(st.integers(prompt, 7)) for prompt in prompts]
    codes = torch.randint(0, 10, (len(prompts), 7, DEPTH), generator=torch.Generator().manual_seed(seed))
    place = torch.arange(7)
    is_target = torch.stack([(place >= p) & (place < n) for p, n in zip(prompts, lengths, strict=True)])
    made, _ = run(codes, is_target)
    for item, length in enumerate(lengths):
        assert torch.equal(made[item, :length], plainly(codes[item, :length], is_target[item, :length]))
    assert torch.equal(made[~is_target], codes[~is_target])


def test_a_prompt_is_fed_at_once_and_every_frame_once():
    codes = torch.ones(2, 8, DEPTH, dtype=torch.long)
    is_target = torch.zeros(2, 8, dtype=torch.bool)
    is_target[0, 3:6] = True
    is_target[1, 4:6] = True
    before = codes.clone()
    assert run(codes, is_target)[1] == [(0, 3), (3, 1), (4, 1)]  # frame 5 is the last, 6 and 7 are padding
    assert torch.equal(codes, before)  # the caller's codes stay as they were


def test_the_first_frame_is_predicted_from_nothing():
    assert run(torch.zeros(1, 3, DEPTH, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool))[1] == [
        (0, 0),
        (0, 1),
        (1, 1),
    ]


def test_a_gap_between_targets_is_fed_in_one_call():
    is_target = torch.tensor([[False, True, False, False, True, False]])
    assert run(torch.zeros(1, 6, DEPTH, dtype=torch.long), is_target)[1] == [(0, 1), (1, 3)]


def test_nothing_to_generate_calls_nothing():
    codes = torch.randint(0, 9, (2, 4, DEPTH))
    made, fed = run(codes, torch.zeros(2, 4, dtype=torch.bool))
    assert torch.equal(made, codes) and fed == []


def test_the_trace_shows_what_is_left_before_every_frame_and_at_the_end():
    codes = torch.full((1, 4, DEPTH), 9)
    is_target = torch.tensor([[False, True, True, False]])
    states = []
    made, _ = run(codes, is_target, on_frame=states.append)
    assert [(state.step, state.steps) for state in states] == [(0, 2), (1, 2), (2, 2)]
    left = [state.hidden_mask.all(-1)[0].tolist() for state in states]
    assert left == [[False, True, True, False], [False, False, True, False], [False] * 4]
    drawn = [state.is_drawn[0].tolist() for state in states]
    assert drawn == [[False, True, False, False], [False, False, True, False], [False] * 4]
    for state in states:  # frames that are no longer hidden are final
        shown = ~state.hidden_mask
        assert torch.equal(state.codes[shown], made[shown])
