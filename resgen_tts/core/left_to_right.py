"""The sequential sampling loop: one frame after another, each from all that are finished."""

from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from resgen_tts.core.reveal import RevealState

Context = TypeVar("Context")


def left_to_right(
    advance: Callable[[Tensor, int], Context],
    fill: Callable[[Context, int], Tensor],
    codes: Int[Tensor, "B T D"],
    is_target: Bool[Tensor, "B T"],
    on_frame: Callable[[RevealState], None] | None = None,
) -> Int[Tensor, "B T D"]:
    """Generate the target frames in order; every frame is fed exactly once.

    Frames that no item generates are fed together with the frame behind which they lie, so a prompt costs one call
    of ``advance``; what lies behind the last target frame is never looked at.

    Args:
        advance: feeds the finished frames ``[B, n, D]`` that start at the given index (n is 0 where the very first
            frame is generated) and returns what frame ``start + n`` is predicted from.
        fill: draws the codes ``[B, D]`` of the frame of that index.
        codes: prompt codes at frames outside ``is_target``, which never change; anything at target frames.
        is_target: frames to generate.
        on_frame: called with the state before every generated frame and once with the finished one.
    Returns:
        Codes with every target frame filled.
    """
    codes = codes.clone()
    frames = is_target.any(0).nonzero()[:, 0].tolist()
    fed = 0

    def trace(step: int, frame: int) -> None:
        if on_frame is not None:
            place = torch.arange(codes.shape[1], device=codes.device)
            hidden_mask = (is_target & (place >= frame))[..., None].expand_as(codes)
            on_frame(RevealState(codes.clone(), hidden_mask, is_target & (place == frame), step, len(frames)))

    for step, frame in enumerate(frames):
        trace(step, frame)
        context = advance(codes[:, fed:frame], fed)
        codes[:, frame] = torch.where(is_target[:, frame, None], fill(context, frame), codes[:, frame])
        fed = frame
    trace(len(frames), codes.shape[1])
    return codes
