"""How near a vector is to the mean of every component, without storing the means."""

import torch
from jaxtyping import Float
from torch import Tensor

_CHUNK_ON_CPU = 2**18  # means held at once, in numbers: 1 MiB in fp32 stays in a core's cache
_CHUNK_ON_DEVICE = 2**26


def component_energies(
    states: Float[Tensor, "N O"],
    inside: Float[Tensor, "N h"],
    weight: Float[Tensor, "J O"],
    bias: Float[Tensor, " J"],
    chunk: int | None = None,
) -> Float[Tensor, "N K"]:
    """``-|x_i - m_ik|^2 / 2`` for means ``m_ik = W_k s_i + b_k`` that are linear in the hidden states, J = K h.

    Goes over chunks of components; neither the means [N, K, h] nor anything else of their size is kept for the
    gradient, which computes them once more. Distances are in fp32 (or the inputs' own, if finer); under autocast only
    the products with ``weight`` are of lower precision.

    Args:
        states: hidden states s.
        inside: x, what each mean is compared with.
        weight: W, components one after the other.
        chunk: components at a time; by default as many as fit a cache.
    """
    device = states.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    rank = inside.shape[1]
    if chunk is None:
        numbers = _CHUNK_ON_CPU if device == "cpu" else _CHUNK_ON_DEVICE
        # Not under 128 rows of the weight: thinner products run far below the machine's rate.
        chunk = max(numbers // max(1, states.shape[0] * rank), -(-128 // rank))
    return _ComponentEnergies.apply(states, inside, weight, bias, chunk, dtype)


class _ComponentEnergies(torch.autograd.Function):
    """With a gradient written by hand: ``de/dm = x - m``, ``de/dx = m - x``, one chunk of components after another."""

    @staticmethod
    def forward(ctx, states, inside, weight, bias, chunk, dtype):
        rank = inside.shape[1]
        ctx.chunk, ctx.dtype = chunk, dtype
        ctx.save_for_backward(states, inside, weight, bias)
        energies = inside.new_empty(len(states), len(weight) // rank)
        with torch.autocast(states.device.type, enabled=False):
            low = _cast(states, dtype)
            for part, rows in _chunks(energies.shape[1], rank, chunk):
                difference = _difference(low, inside, weight[rows], bias[rows], dtype)
                energies[:, part] = difference.square_().sum(-1).mul_(-0.5)
        return energies

    @staticmethod
    def backward(ctx, grad):
        states, inside, weight, bias = ctx.saved_tensors
        rank, dtype = inside.shape[1], ctx.dtype
        grad_states, grad_inside = torch.zeros_like(states, dtype=inside.dtype), torch.zeros_like(inside)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        with torch.autocast(states.device.type, enabled=False):
            low = _cast(states, dtype)
            for part, rows in _chunks(grad.shape[1], rank, ctx.chunk):
                pull = _difference(low, inside, weight[rows], bias[rows], dtype)  # m - x, [N, k, h]
                pull *= grad[:, part, None]
                grad_inside += pull.sum(1)
                pull = pull.flatten(1).neg_()  # the gradient of the means
                grad_bias[rows] = pull.sum(0)
                pull = _cast(pull, dtype)
                grad_weight[rows] = (pull.T @ low).to(weight.dtype)
                grad_states += pull @ _cast(weight[rows], dtype)
        return grad_states.to(states.dtype), grad_inside, grad_weight, grad_bias, None, None


def _chunks(components: int, rank: int, chunk: int):
    for start in range(0, components, chunk):
        end = min(components, start + chunk)
        yield slice(start, end), slice(start * rank, end * rank)


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor if dtype is None else tensor.to(dtype)


def _difference(states: Tensor, inside: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype | None) -> Tensor:
    """``m - x`` of a chunk, [N, k, h]; a product of low precision, then everything in the precision of x."""
    if dtype is None:
        means = torch.addmm(bias.to(states.dtype), states, weight.T).to(inside.dtype)
    else:
        means = (states @ weight.to(dtype).T).to(inside.dtype).add_(bias.to(inside.dtype))
    return means.unflatten(1, (-1, inside.shape[1])).sub_(inside[:, None])
