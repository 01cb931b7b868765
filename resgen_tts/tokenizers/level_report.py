"""How each level of a quantizer is used: scores by name and a picture."""

import io
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.common.run_dir import write_bytes


def count_codes(codes: Int[Tensor, "N D"], codebook_size: int) -> Int[Tensor, "D V"]:
    """Times that each code of each level was chosen."""
    counts = torch.zeros(codes.shape[1], codebook_size, dtype=torch.long, device=codes.device)
    return counts.scatter_add_(1, codes.T, torch.ones_like(codes.T))


def usage(hard_counts: Float[Tensor, "D V"]) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
    """Per level: the share of codes that were chosen at all, and the perplexity exp(entropy) of the choice."""
    share = hard_counts / hard_counts.sum(-1, keepdim=True).clamp(min=1)
    entropy = -torch.special.xlogy(share, share).sum(-1)
    return (hard_counts > 0).float().mean(-1), entropy.exp()


def level_scores(hard_counts: Float[Tensor, "D V"], residual_energy: Float[Tensor, " D"]) -> dict[str, float]:
    """Scores of every level, by the names ``usage/level_00``, ``perplexity/level_00``, ``residual/level_00``, ...

    Args:
        hard_counts: times that each code was chosen.
        residual_energy: mean square per latent dimension of what is left after each level.
    """
    in_use, perplexity = usage(hard_counts)
    columns = {"usage": in_use, "perplexity": perplexity, "residual": residual_energy}
    return {
        f"{name}/level_{level:02d}": value
        for name, values in columns.items()
        for level, value in enumerate(values.tolist())
    }


def draw_level_report(path: Path, hard_counts: Float[Tensor, "D V"], residual_energy: Float[Tensor, " D"]) -> None:
    """Draw against the level: codes in use and perplexity as shares of the codebook, and the residual energy; a PNG.

    Args: as of ``level_scores``.
    """
    from matplotlib.figure import Figure  # no pyplot: it keeps figures alive and wants a display

    in_use, perplexity = usage(hard_counts)
    depth, size = hard_counts.shape
    figure = Figure(figsize=(8, 3), layout="constrained")
    codes, energy = figure.subplots(1, 2)
    levels = range(depth)
    codes.plot(levels, in_use.tolist(), marker="o", markersize=3, label="chosen at all")
    codes.plot(levels, (perplexity / size).tolist(), marker="s", markersize=3, label="perplexity")
    codes.set(xlabel="level", ylabel=f"share of {size} codes", ylim=(0, 1.05))
    codes.legend(fontsize=8)
    energy.plot(levels, residual_energy.tolist(), marker="o", markersize=3)
    energy.set(xlabel="level", ylabel="mean square left per dimension")
    if bool((residual_energy > 0).any()):  # a logarithmic axis has no zero
        energy.set_yscale("log")
    for axis in (codes, energy):
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})  # the same bytes from any version
    write_bytes(path, buffer.getvalue())
