"""Where the components of a mixture start: on the targets that training will ask for."""

import torch
from jaxtyping import Int
from torch import Tensor

from resgen_tts.core.k_means import k_means
from resgen_tts.core.masking import draw_hidden_mask
from resgen_tts.core.schedule import schedule_by_name
from resgen_tts.models.resgen import ResGen

ROUNDS = 10  # of Lloyd's steps


@torch.no_grad()
def start_components(model: ResGen, codes: Int[Tensor, "N D"], rng: torch.Generator) -> None:
    """Lay the mixture's components through the targets of drawn masks, before anything was learned.

    A random mixture of many components stays nearly uniform for thousands of steps: none is nearer to a target than
    the others, so all are pulled to the same place. Here each mean starts at a centre of the normalized targets
    ``z / s_k``, the weights at the share of the targets that are nearest to it, the scale at the root mean square of
    what is left, and the basis of a low rank at the targets' principal axes. Means start as constants: what a hidden
    state adds to them is learned from zero.

    Args:
        codes: of the training data, as many frames as there are; each is given a mask of its own.
    Raises:
        ValueError: fewer frames than components.
    """
    head, depth = model.head, model.code_space.depth
    if len(codes) < head.components:
        raise ValueError(f"{len(codes)} frames for {head.components} components")
    # A row of frames per item: the masks' law is that of utterances, not of single frames.
    frames = 64
    rows = (
        codes[: len(codes) // frames * frames].view(-1, frames, codes.shape[-1])
        if len(codes) >= frames
        else codes[None]
    )
    is_target = torch.ones(rows.shape[:2], dtype=torch.bool)
    hidden = draw_hidden_mask(model.config.masking, schedule_by_name(model.config.schedule), is_target, depth, rng)
    is_hiding = hidden.any(-1)
    scale = model.hidden_scale(hidden[is_hiding])
    targets = model.code_space.hidden_sum(rows, hidden)[is_hiding] / scale[:, None]
    mean = targets.mean(0)
    centred = targets - mean
    if not head.is_full_rank:
        _, _, axes = torch.linalg.svd(centred, full_matrices=False)
        head.basis.copy_(axes[: head.rank].T)
        centred = centred @ head._orthonormal()
    centres, nearest = k_means(centred, head.components, ROUNDS, rng)
    left = (targets - mean).square().sum(-1) - centred.square().sum(-1) + (centred - centres[nearest]).square().sum(-1)
    scale = (left.mean() / targets.shape[1]).sqrt().clamp_min(1e-3)
    shares = (torch.bincount(nearest, minlength=head.components) + 1) / (len(targets) + head.components)
    head.shift.bias.copy_(mean)
    head.log_scale.bias.fill_(torch.atanh(scale.log() / head.max_log_scale) * head.max_log_scale)
    head.log_weights.bias.copy_(shares.log())
    head.means.weight.zero_()
    head.means.bias.copy_((centres / scale).flatten())
