"""Classifier-free guidance: one formula for every quantity that it acts on.

What it can act on (method 7.3, A12); ``null`` is the pass without condition, prompt or both, or of a
weaker network:

* components: log-weights of the mixture, then the drawn component's mean. For equal scales the exact guided density of
  a component: a Gaussian of the same scale with mean ``null + w (cond - null)``.
* density: the same with the exact precision ``w / a_cond^2 + (1 - w) / a_null^2`` where scales differ; where that
  is not positive or near 0, as "components".
* weights: log-weights only.
* outputs: log-weights, normalized mean, log-scale and shift each, linear in the head's outputs.
* hidden: hidden states before the head, brought back to the conditional ones' standard deviation in part, as MaskGCT.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from resgen_tts.core.sampler_config import SamplerConfig


def guide(null: Tensor, cond: Tensor, weight: float | Tensor) -> Tensor:
    """``null + w * (cond - null)``, exactly ``cond`` at ``w = 1``. The paper's w is ours minus 1.

    Args:
        weight: one for all, or any that broadcast with the values.
    """
    return torch.lerp(null, cond, weight)


def ramp(start: float, end: float, step: int, steps: int) -> float:
    """Guidance at one step (0-based) of a linear schedule ``start -> end``."""
    return end if steps <= 1 else start + (end - start) * step / (steps - 1)


def guidance_at(config: SamplerConfig, step: int, steps: int) -> float:
    """The weight of one step: the ramp inside the interval ``[guidance_from, guidance_to)``, 1 outside."""
    middle = (step + 0.5) / steps
    if not config.guidance_from <= middle < config.guidance_to:
        return 1.0
    return ramp(config.guidance_start, config.guidance_end, step, steps)


def guide_gaussian(
    null: tuple[Float[Tensor, "B T C"], Float[Tensor, "B T"]],
    cond: tuple[Float[Tensor, "B T C"], Float[Tensor, "B T"]],
    weight: float,
) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B T"]]:
    """Mean and scale of ``p_cond^w / p_null^(w - 1)`` for two round Gaussians, each (mean, scale).

    Precision ``w / a_c^2 - (w - 1) / a_n^2`` and the mean weighted by precisions. Where the precision is not positive
    the quotient is no density, and near 0 it is a useless one; below a quarter of the conditional precision mean and
    scale are those of equal scales.
    """
    (null_mean, null_scale), (mean, scale) = null, cond
    mine, other = weight / scale.square(), (1 - weight) / null_scale.square()
    precision = mine + other
    is_density = precision >= 0.25 / scale.square()
    safe = torch.where(is_density, precision, 1.0)
    exact = (mine[..., None] * mean + other[..., None] * null_mean) / safe[..., None]
    guided = torch.where(is_density[..., None], exact, guide(null_mean, mean, weight))
    return guided, torch.where(is_density, safe.rsqrt(), scale)


def guide_hidden(
    null: Float[Tensor, "B T O"], cond: Float[Tensor, "B T O"], weight: float, rescale: float = 0.75
) -> Float[Tensor, "B T O"]:
    """Guided hidden states, mixed with themselves at the conditional states' standard deviation.

    Source: MaskGCT (arXiv:2409.00750), after arXiv:2305.08891.
    """
    guided = guide(null, cond, weight)
    matched = guided * (cond.std(-1, keepdim=True) / guided.std(-1, keepdim=True).clamp_min(1e-6))
    return rescale * matched + (1 - rescale) * guided
