"""Attention as plain products of matrices, for training in mixed precision on a CPU."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def suits_products(queries: Tensor) -> bool:
    """Whether training through :func:`attend_by_products` is the faster way: on a CPU in bf16."""
    return queries.device.type == "cpu" and queries.dtype == torch.bfloat16 and queries.requires_grad


def attend_by_products(
    queries: Float[Tensor, "B H T E"],
    keys: Float[Tensor, "B H S E"],
    values: Float[Tensor, "B H S E"],
    allowed: Bool[Tensor, "B 1 Q S"] | None,
) -> Float[Tensor, "B H T E"]:
    """What ``scaled_dot_product_attention`` gives, Q = T or 1 (all queries alike).

    torch's fused kernel of a CPU is slow in bf16: its backward pass takes three times as long as these products
    (60 to 600 frames, one thread; a quarter of a training step of the mini generator went into it). Scores and their
    softmax are in fp32 as there, so rounding is no larger; the weights, [B H, T, S] in bf16, are kept for the gradient.
    """
    bias = None
    if allowed is not None:
        bias = torch.zeros(allowed.shape, device=queries.device).masked_fill_(~allowed, -torch.inf)
        bias = bias.expand(-1, queries.shape[1], -1, -1).flatten(0, 1)
    mixed = _Products.apply(queries.flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1), bias)
    return mixed.unflatten(0, queries.shape[:2])


class _Products(torch.autograd.Function):
    """``softmax(q k' / sqrt(E) + bias) v`` with a gradient whose products are all of the inputs' precision."""

    @staticmethod
    def forward(ctx, queries, keys, values, bias):
        ctx.scale = queries.shape[-1] ** -0.5
        start = queries.new_zeros(1, 1, 1, dtype=torch.float32) if bias is None else bias
        with torch.autocast(queries.device.type, enabled=False):  # it would round the scores
            scores = torch.baddbmm(start, queries.float(), keys.float().mT, alpha=ctx.scale)
            weights = scores.softmax(-1).to(values.dtype)
            mixed = torch.bmm(weights, values)
        ctx.save_for_backward(queries, keys, values, weights)
        return mixed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        queries, keys, values, weights = ctx.saved_tensors
        with torch.autocast(queries.device.type, enabled=False):
            grad_weights = torch.bmm(grad, values.mT)
            grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype).mul_(ctx.scale)
            grad_queries, grad_keys = torch.bmm(grad_scores, keys), torch.bmm(grad_scores.mT, queries)
            return grad_queries, grad_keys, torch.bmm(weights.mT, grad), None
