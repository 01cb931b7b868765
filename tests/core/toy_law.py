"""A world small enough to enumerate: two frames, two levels, three codes, and a correlated law of all 81 states."""

import functools
import itertools
from collections import defaultdict

import torch
from scipy.stats import chisquare
from torch import Tensor

from resgen_tts.core.schedule import Schedule, num_hidden_slots

FRAMES, DEPTH, SIZE = 2, 2, 3
SLOTS = FRAMES * DEPTH  # flattened frame by frame: slot = frame * DEPTH + level
STATES = torch.tensor(list(itertools.product(range(SIZE), repeat=SLOTS))).view(-1, FRAMES, DEPTH)  # [81, L, D]

Mask = tuple[bool, ...]
"""Hidden slots, flattened frame by frame."""


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data_law(seed: int = 2, lean: float = 0.0) -> Tensor:
    """An arbitrary law without independences, [81], double; ``lean`` makes the coarse code 0 likelier in each frame."""
    noise = torch.randn(len(STATES), generator=rng(seed), dtype=torch.double)
    return torch.softmax(0.7 * noise + lean * (STATES[..., 0] == 0).sum(-1), 0)


def posterior(law: Tensor, codes: Tensor, hidden: Tensor) -> Tensor:
    """The exact law of the whole state given the visible codes of each item: [N, L, D] -> [N, 81]."""
    agrees = torch.ones(len(codes), len(STATES), dtype=torch.bool)
    for frame, level in itertools.product(range(FRAMES), range(DEPTH)):
        same = codes[:, frame, level, None] == STATES[:, frame, level]
        agrees &= same | hidden[:, frame, level, None]
    weighted = law * agrees
    return weighted / weighted.sum(-1, keepdim=True)


def draw_states(weights: Tensor, generator: torch.Generator) -> Tensor:
    """One state of each row's law: [N, 81] -> [N, L, D]."""
    uniform = torch.rand(len(weights), 1, generator=generator, dtype=torch.double)
    index = torch.searchsorted(weights.cumsum(-1), uniform * (1 - 1e-12))
    return STATES[index.squeeze(-1).clamp(max=len(STATES) - 1)]


def state_counts(codes: Tensor) -> Tensor:
    """How often each state occurs: [N, L, D] -> [81]."""
    place = SIZE ** torch.arange(SLOTS - 1, -1, -1)
    return torch.bincount((codes.reshape(-1, SLOTS) * place).sum(-1), minlength=len(STATES)).double()


def moves(mask: Mask, num_revealed: int, masking: str, depth: int = DEPTH) -> dict[Mask, float]:
    """Every set of slots that one step of random order may reveal, with its probability, by trying all choices."""
    hidden = [slot for slot, is_hidden in enumerate(mask) if is_hidden]
    if masking == "level":
        coarsest = min(slot % depth for slot in hidden)
        hidden = [slot for slot in hidden if slot % depth == coarsest]
    picks = list(itertools.combinations(hidden, num_revealed))
    found: dict[Mask, float] = defaultdict(float)
    for pick in picks:
        revealed = set(pick)
        if masking == "suffix":  # only the count in each frame matters: its coarsest hidden codes
            revealed = set()
            for frame in range(len(mask) // depth):
                mine = [slot for slot in hidden if slot // depth == frame]
                revealed |= set(mine[: sum(slot in pick for slot in mine)])
        found[tuple(slot in revealed for slot in range(len(mask)))] += 1 / len(picks)
    return dict(found)


def without(mask: Mask, revealed: Mask) -> Mask:
    return tuple(hidden and not shown for hidden, shown in zip(mask, revealed, strict=True))


@functools.cache
def masks_by_number(masking: str, frames: int = FRAMES, depth: int = DEPTH) -> dict[int, dict[Mask, float]]:
    """The law of the mask at every number of hidden slots: one slot revealed after another, from all hidden."""
    slots = frames * depth
    laws: dict[int, dict[Mask, float]] = {slots: {(True,) * slots: 1.0}}
    for number in range(slots, 1, -1):
        below: dict[Mask, float] = defaultdict(float)
        for mask, chance in laws[number].items():
            for revealed, move in moves(mask, 1, masking, depth).items():
                below[without(mask, revealed)] += chance * move
        laws[number - 1] = dict(below)
    return laws


@functools.cache
def law_of_number(schedule: Schedule, slots: int, points: int = 2**20) -> Tensor:
    """Probability of each number of hidden slots, 0..slots, on a fine grid of r; error below 1e-6."""
    ratio = (torch.arange(points, dtype=torch.double) + 0.5) / points
    number = num_hidden_slots(schedule, ratio, torch.full((points,), slots))
    return torch.bincount(number, minlength=slots + 1).double() / points


def nll_of(law: Tensor, mask: Mask, revealed: Mask) -> Tensor:
    """``-log p(revealed codes | visible codes)`` under the exact posterior, for each of the 81 states."""
    return _log_marginal(law, [not hidden for hidden in mask]) - _log_marginal(
        law, [not hidden or shown for hidden, shown in zip(mask, revealed, strict=True)]
    )


def slot_nll(law: Tensor, mask: Mask) -> Tensor:
    """``-log p(code | visible codes)`` of each slot on its own, [81, slots]; 0 at visible ones."""
    alone = [tuple(mask[slot] and place == slot for place in range(SLOTS)) for slot in range(SLOTS)]
    return torch.stack([nll_of(law, mask, revealed) for revealed in alone], -1)


def _log_marginal(law: Tensor, shown: list[bool]) -> Tensor:
    flat = STATES.view(-1, SLOTS)[:, torch.tensor(shown)]
    agrees = (flat[:, None] == flat[None]).all(-1)  # [81, 81]
    return (agrees * law).sum(-1).log()


def follows(counts: Tensor, law: Tensor) -> bool:
    """Whether counts could come from the law: nothing impossible occurs, and chi-square has p > 1e-4."""
    possible = law > 0
    if bool((counts[~possible] > 0).any()):
        return False
    if int(possible.sum()) == 1:
        return True
    expected = law[possible] / law.sum() * counts.sum()
    assert expected.min() > 5, "too few draws for a chi-square test"
    return bool(chisquare(counts[possible], expected).pvalue > 1e-4)
