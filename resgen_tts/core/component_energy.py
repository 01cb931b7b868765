"""How near a vector is to the mean of every component, without storing the means."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

_CHUNK_ON_CPU = 2**18  # means held at once, in numbers: 1 MiB in fp32 stays in a core's cache
_CHUNK_ON_DEVICE = 2**26
_THIN = 128  # rows of the weight: thinner products run far below the machine's rate
_MANY = 0.4  # share of the pairs (position, thin chunk) from which on the whole product is no slower
_ROUND = 16  # positions at a time are a multiple: mixed-precision products are compiled for every new size


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

    On a CPU the gradient leaves out what rounding would swallow: pairs (i, k) whose ``de_ik`` is at most eps times the
    largest of position i, with eps the machine precision of the energies. That is most pairs where responsibilities
    are sharp, and changes a sum over components by K eps of its largest term at most, as rounding may.

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
        chunk = max(numbers // max(1, states.shape[0] * rank), _thin_chunk(rank))
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
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        states, inside, weight, bias = ctx.saved_tensors
        rank, dtype = inside.shape[1], ctx.dtype
        grad_states, grad_inside = torch.zeros_like(states, dtype=inside.dtype), torch.zeros_like(inside)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        with torch.autocast(states.device.type, enabled=False):
            low = _cast(states, dtype)
            for part, rows, positions in _visits(grad, rank, ctx.chunk):
                here = low[positions]
                pull = _difference(here, inside[positions], weight[rows], bias[rows], dtype)  # m - x, [n, k, h]
                pull *= grad[positions, part, None]
                grad_inside[positions] += pull.sum(1)
                pull = pull.flatten(1).neg_()  # the gradient of the means
                grad_bias[rows] = pull.sum(0)
                pull = _cast(pull, dtype)
                grad_weight[rows] = pull.T @ here
                grad_states[positions] += pull @ _cast(weight[rows], dtype)
        return grad_states.to(states.dtype), grad_inside, grad_weight, grad_bias, None, None


def _thin_chunk(rank: int) -> int:
    return -(-_THIN // rank)


def _chunks(components: int, rank: int, chunk: int) -> Iterator[tuple[slice, slice]]:
    """Components that are taken together, and their rows of the weight."""
    for start in range(0, components, chunk):
        end = min(components, start + chunk)
        yield slice(start, end), slice(start * rank, end * rank)


def _visits(grad: Tensor, rank: int, chunk: int) -> Iterator[tuple[slice, slice, Tensor | slice]]:
    """The same for the gradient, each with the positions at which one of the components matters."""
    components = grad.shape[1]
    if grad.device.type == "cpu":  # elsewhere the outcome would have to be waited for, and thin products gain nothing
        size, thin = grad.abs(), _thin_chunk(rank)
        matters = ~(size <= torch.finfo(grad.dtype).eps * size.amax(1, keepdim=True))  # nan does
        matters = torch.nn.functional.pad(matters, (0, -components % thin)).unflatten(1, (-1, thin)).any(-1).T
        if matters.float().mean() < _MANY:
            missing = -matters.sum(1, keepdim=True) % _ROUND
            matters |= (~matters).cumsum(1) <= missing
            positions = matters.nonzero()[:, 1].split(matters.sum(1).tolist())
            for (part, rows), some in zip(_chunks(components, rank, thin), positions, strict=True):
                yield part, rows, some
            return
    for part, rows in _chunks(components, rank, chunk):
        yield part, rows, slice(None)


def _cast(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor if dtype is None else tensor.to(dtype)


def _difference(states: Tensor, inside: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype | None) -> Tensor:
    """``m - x`` of a chunk, [n, k, h]; a product of low precision, then everything in the precision of x."""
    rank = inside.shape[1]
    if dtype is None:
        means = torch.addmm(bias.to(states.dtype), states, weight.T).to(inside.dtype)
    else:
        means = (states @ weight.to(dtype).T).to(inside.dtype).add_(bias.to(inside.dtype))
    return means.unflatten(1, (len(weight) // rank, rank)).sub_(inside[:, None])
