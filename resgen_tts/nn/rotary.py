"""Rotary position embedding."""

import torch
from jaxtyping import Float
from torch import Tensor


def rotary_angles(frames: int, head_dim: int, *, device: torch.device, base: float = 10_000.0) -> Float[Tensor, "T R"]:
    """Angles of each position and pair of channels, R = head_dim / 2."""
    rate = base ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
    return torch.arange(frames, device=device, dtype=torch.float32)[:, None] * rate


def rotate(vectors: Float[Tensor, "B H T E"], angles: Float[Tensor, "T R"]) -> Float[Tensor, "B H T E"]:
    """Turn each half-split pair of channels by its position's angle (RoFormer, arXiv:2104.09864)."""
    cos, sin = angles.cos().to(vectors.dtype), angles.sin().to(vectors.dtype)
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
