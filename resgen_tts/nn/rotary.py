"""Positions, along a sequence or over a picture: rotary ones, and sums of sines."""

import torch
from jaxtyping import Float
from torch import Tensor


def rotary_angles(
    frames: int, head_dim: int, *, device: torch.device, start: int = 0, grid_width: int = 0, base: float = 10_000.0
) -> Float[Tensor, "T R"]:
    """Angles of positions ``start .. start + frames`` and each pair of channels, R = head_dim / 2.

    Args:
        grid_width: positions to a row of a row-major picture; half of the pairs then turn with the row, half with the
            column. 0 = a sequence.
    """
    position = torch.arange(start, start + frames, device=device, dtype=torch.float32)
    if not grid_width:
        rate = base ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
        return position[:, None] * rate
    half = head_dim // 2
    rate = base ** (-torch.arange(0, half, 2, device=device, dtype=torch.float32) / half)
    row, column = torch.div(position, grid_width, rounding_mode="floor"), position % grid_width
    return torch.cat([row[:, None] * rate, column[:, None] * rate], dim=1)


def turns_by(angles: Float[Tensor, "T R"]) -> Float[Tensor, "2 T R"]:
    """Cosines and sines of angles: computed once for all layers, they were 8 % of a step of synthesis."""
    return torch.stack([angles.cos(), angles.sin()])


def rotate(vectors: Float[Tensor, "B H T E"], turns: Float[Tensor, "2 T R"]) -> Float[Tensor, "B H T E"]:
    """Turn each half-split pair of channels by its position's angle (RoFormer, arXiv:2104.09864)."""
    cos, sin = turns.to(vectors.dtype)
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def places(place: Float[Tensor, "*shape"], channels: int, highest: float = 200.0) -> Float[Tensor, "*shape R"]:
    """Angles of relative places in -1..1, R = channels / 2: from ``highest`` radians for a whole down to one radian."""
    share = torch.arange(0, channels, 2, device=place.device, dtype=torch.float32) / channels
    return place[..., None] * highest ** (1 - share)


def sinusoids(angles: Float[Tensor, "*shape R"]) -> Float[Tensor, "*shape O"]:
    """Sines and cosines of each position's angles, O = 2 R: an absolute position to be added to an input."""
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
