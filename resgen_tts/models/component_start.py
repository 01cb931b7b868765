"""Where the components of a mixture start: on the targets that training will ask for."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.core.k_means import k_means
from resgen_tts.core.masking import draw_hidden_mask
from resgen_tts.core.schedule import schedule_by_name
from resgen_tts.models.resgen import ResGen

ROUNDS = 10  # of Lloyd's steps
FRAMES = 64  # of an item: the masks' law is that of utterances, not of single frames


@torch.no_grad()
def start_components(model: ResGen, codes: Int[Tensor, "N D"], rng: torch.Generator) -> None:
    """Lay the mixture's components through the targets of drawn masks, before anything was learned.

    A random mixture of many components stays nearly uniform for thousands of steps: none is nearer to a target than
    the others, so all are pulled to the same place. Here each mean starts at a centre of the normalized targets
    ``z / s_k``, the weights at the share of the targets that are nearest to it, the scale at the root mean square of
    what is left, and the basis of a low rank at the targets' principal axes. Means start as constants: what a hidden
    state adds to them is learned from zero.

    Args:
        codes: of the training data.
    Raises:
        ValueError: fewer frames than components.
    """
    head = model.head
    if len(codes) < head.components:
        raise ValueError(f"{len(codes)} frames for {head.components} components")
    targets = [_targets(model, codes, rng)]
    while sum(map(len, targets)) < head.components:  # of few frames, each is asked for under several masks
        targets.append(_targets(model, codes, rng))
    targets = torch.cat(targets)
    mean = targets.mean(0)
    centred = targets - mean
    if not head.is_full_rank:
        _, _, axes = torch.linalg.svd(centred, full_matrices=False)
        head.basis[:, : len(axes)].copy_(axes[: head.rank].T)
        centred = centred @ head._orthonormal()
    centres, nearest = k_means(centred, head.components, ROUNDS, rng)
    left = (targets - mean).square().sum(-1) - centred.square().sum(-1) + (centred - centres[nearest]).square().sum(-1)
    # Within what the head can say, and not at its very end, where nothing would be learned.
    log_scale = (left.mean() / targets.shape[1]).clamp_min(1e-12).log() / 2
    log_scale = log_scale.clamp(-0.9 * head.max_log_scale, 0.9 * head.max_log_scale)
    shares = (torch.bincount(nearest, minlength=head.components) + 1) / (len(targets) + head.components)
    head.shift.bias.copy_(mean)
    head.log_scale.bias.fill_(torch.atanh(log_scale / head.max_log_scale) * head.max_log_scale)
    head.log_weights.bias.copy_(shares.log())
    head.means.weight.zero_()
    head.means.bias.copy_((centres / log_scale.exp()).flatten())


def _targets(model: ResGen, codes: Int[Tensor, "N D"], rng: torch.Generator) -> Float[Tensor, "M C"]:
    """Normalized sums of what drawn masks hide, of the frames that hide something."""
    frames = min(FRAMES, len(codes))
    rows = codes[: len(codes) // frames * frames].unflatten(0, (-1, frames))
    is_target = torch.ones(rows.shape[:2], dtype=torch.bool)
    schedule = schedule_by_name(model.config.schedule)
    hidden = draw_hidden_mask(model.config.masking, schedule, is_target, codes.shape[-1], rng)
    is_hiding = hidden.any(-1)
    return model.code_space.hidden_sum(rows, hidden)[is_hiding] / model.hidden_scale(hidden[is_hiding])[:, None]
