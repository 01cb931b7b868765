"""How many hidden codes come back when their exact sum is quantized again: the best that any model of z can do.

A model whose mixture is a point mass at the true z still only gets ``argmin`` codes back (method 6, checks 6):
greedy quantization of a sum of codes need not find those codes. Printed by number of hidden codes and by level.

    python tools/bench/requantization.py
    python tools/bench/requantization.py --mel-vae exp/base/mel_vae --codes exp/base/codes --split dev
"""

import argparse
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.masking import suffix_mask


def recovery(
    code_space: CodeSpace, codes: Int[Tensor, "N D"]
) -> tuple[Float[Tensor, "D D"], Float[Tensor, " D"], Float[Tensor, " D"]]:
    """Hide the finest 1..D codes of every frame, quantize their exact sum, and compare.

    Returns:
        Share of recovered codes by (number hidden - 1, level), nan at visible levels; share of frames that are
        recovered whole; squared error of the new sum, relative to the energy of the true one.
    """
    depth = code_space.depth
    by_level = torch.full((depth, depth), torch.nan)
    whole, error = torch.zeros(depth), torch.zeros(depth)
    for row, number in enumerate(range(1, depth + 1)):
        hidden = suffix_mask(torch.full((1, len(codes)), number, device=codes.device), depth)
        target = code_space.hidden_sum(codes[None], hidden)
        found = code_space.quantize(target, hidden, codes[None])
        same = found[0] == codes
        by_level[row, depth - number :] = same[:, depth - number :].float().mean(0).cpu()
        whole[row] = same.all(-1).float().mean()
        error[row] = (code_space.hidden_sum(found, hidden) - target).square().sum() / target.square().sum()
    return by_level, whole, error


def random_space(depth: int, size: int, dim: int, decay: float, rng: torch.Generator) -> CodeSpace:
    """Gaussian codebooks whose standard deviation falls by ``decay`` per level."""
    scale = decay ** torch.arange(depth)
    books = torch.randn(depth, size, dim, generator=rng) * scale[:, None, None]
    return CodeSpace(books, (scale * decay).square())


def table(code_space: CodeSpace, codes: Int[Tensor, "N D"]) -> str:
    """One line for each number of hidden codes; levels from coarse to fine, percentages."""
    by_level, whole, error = recovery(code_space, codes)
    depth = code_space.depth
    lines = ["hidden  codes  frames  error | " + " ".join(f"{level:>5}" for level in range(depth))]
    for row in range(depth):
        hidden = by_level[row, depth - 1 - row :]
        cells = ["    ."] * (depth - 1 - row) + [f"{100 * float(share):5.1f}" for share in hidden]
        lines.append(
            f"{row + 1:>6} {100 * float(hidden.mean()):6.1f} {100 * float(whole[row]):7.1f} {float(error[row]):6.3f} | "
            + " ".join(cells)
        )
    return "\n".join(lines)


def real_codes(folder: Path, split: str, most: int) -> Int[Tensor, "N D"]:
    """Codes of encoded utterances, at most ``most`` frames."""
    from resgen_tts.speech.corpus import CodeShards

    shards = CodeShards(folder, split, aligned=False)
    return torch.cat([shards[name].codes for name in shards.rows])[:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mel-vae", type=Path, help="a trained Mel-VAE; without it codebooks are random")
    parser.add_argument("--codes", type=Path, help="the folder of codes that it encoded")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--frames", type=int, default=5000, help="frames to look at, at most")
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--size", type=int, default=256, help="codes per random codebook")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--decay", type=float, default=0.8, help="standard deviation of a level over that of the last")
    options = parser.parse_args()
    rng = torch.Generator().manual_seed(0)
    if options.mel_vae is not None:
        from resgen_tts.apps.weights.pretrained import load_mel_vae

        space = load_mel_vae(options.mel_vae).code_space
        kinds = {f"codes of {options.split}": real_codes(options.codes, options.split, options.frames)}
    else:
        space = random_space(options.depth, options.size, options.dim, options.decay, rng)
        kinds = {}
    latents = torch.randn(1, options.frames, space.dim, generator=rng) * space.codebooks.square().sum(0).mean().sqrt()
    kinds["codes of Gaussian latents"] = space.quantize(latents)[0]
    kinds["codes drawn uniformly"] = torch.randint(0, space.codebook_size, (options.frames, space.depth), generator=rng)
    for kind, codes in kinds.items():
        print(f"{kind}: {len(codes)} frames; % recovered, by number of hidden codes and level")  # noqa: T201
        print(table(space, codes), end="\n\n")  # noqa: T201


if __name__ == "__main__":
    main()
