"""Classifier-free guidance: one formula for every quantity it acts on."""

from torch import Tensor


def guide(null: Tensor, cond: Tensor, weight: float) -> Tensor:
    """``null + w * (cond - null)``; off at ``w = 1``. The paper's w is ours minus 1.

    On log-weights (then renormalized) and on component means this is the exact guided density of one Gaussian
    of equal covariance (method 7.3, A12 (a)).
    """
    return null + weight * (cond - null)


def ramp(start: float, end: float, step: int, steps: int) -> float:
    """Guidance at one step (0-based) of a linear schedule ``start -> end``."""
    return end if steps <= 1 else start + (end - start) * step / (steps - 1)
