"""Monotonic alignment search over a batch: milliseconds, against a search per item in numpy, and its share of training.

Both searches get the same scores in one process and must find paths of the same value. The reference goes over the
items one by one and over the frames in Python, with all symbols of a frame at once in numpy. The share is that of the
search in a training step of the aligner (CPU, forward, backward, no optimizer) on a batch of the same size.

    python tools/bench/alignment_search.py
    python tools/bench/alignment_search.py --rate 86.13 --threads 1 --preset paper --device cuda
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from resgen_tts.speech import alignment
from resgen_tts.speech.alignment import ALIGNERS, Aligner, AlignerConfig, monotonic_alignment_search


def reference(score: np.ndarray, is_optional: np.ndarray) -> np.ndarray:
    """Durations of one item [N, T], where no two optional symbols stand side by side; rows of numpy per frame."""
    symbols, frames = score.shape
    over = np.where(np.concatenate([[False], is_optional[:-1]]), 0.0, -np.inf)  # to come from two symbols before
    best = np.full((frames, symbols), -np.inf)
    came = np.zeros((frames, symbols), dtype=np.int64)
    best[0, 0] = score[0, 0]
    for t in range(1, frames):
        before = np.concatenate([[-np.inf, -np.inf], best[t - 1]])
        ways = np.stack([before[2:], before[1:-1], before[:-2] + over])
        came[t] = ways.argmax(0)
        best[t] = ways.max(0) + score[:, t]
    durations, n = np.zeros(symbols, dtype=np.int64), symbols - 1
    for t in range(frames - 1, -1, -1):
        durations[n] += 1
        n -= came[t, n]
    return durations


def reference_of_batch(score: Tensor, is_optional: Tensor) -> Tensor:
    """Durations of a batch, one item after the other."""
    return torch.from_numpy(np.stack([reference(*row) for row in zip(score.numpy(), is_optional.numpy(), strict=True)]))


def made_up_score(batch: int, symbols: int, frames: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Scores as an aligner gives them, noise over a path, symbols side by side in memory; every fifth is optional."""
    at = torch.linspace(0, symbols - 1, frames).round()[:, None]
    score = torch.randn(batch, frames, symbols, generator=rng) - (at - torch.arange(symbols)).abs().clamp(max=4)
    is_optional = torch.zeros(batch, symbols, dtype=torch.bool)
    is_optional[:, 5:-1:5] = True
    return score.mT, is_optional


def path_values(score: Tensor, durations: Tensor) -> Tensor:
    """Value of each item's path, in double precision."""
    index = alignment.symbol_of_frame(durations, score.shape[2])
    return score.double().gather(1, index[:, None]).sum((1, 2))


def timed(function: Callable[[], Tensor], repeats: int) -> tuple[float, Tensor]:
    """Median milliseconds of a call, and its result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds), result


def share_of_training(config: AlignerConfig, lengths: tuple[int, int, int], device: str, repeats: int) -> str:
    """Milliseconds of the search inside a training step, and of the step."""
    batch, symbols, frames = lengths
    model = Aligner(config).to(device)
    spent: list[float] = []

    def watched(*given: Tensor) -> Tensor:
        _wait(device)
        start = time.perf_counter()
        found = monotonic_alignment_search(*given)
        spent.append(time.perf_counter() - start)
        return found

    numbers = torch.randint(1, config.num_symbols, (batch, symbols), device=device)
    count, length = (torch.full((batch,), size, device=device) for size in (symbols, frames))
    mel = torch.randn(batch, frames, config.num_mels, device=device)

    def step() -> Tensor:
        model.zero_grad()
        loss = sum(model(numbers, count, mel, length))
        loss.backward()
        _wait(device)
        return loss.detach()

    alignment.monotonic_alignment_search = watched
    step()
    spent.clear()
    whole, _ = timed(step, repeats)
    alignment.monotonic_alignment_search = monotonic_alignment_search
    search = 1000 * statistics.median(spent)
    return f"search {search:.1f} ms of a step of {whole:.1f} ms ({100 * search / whole:.1f} %)"


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="utterances")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each")
    parser.add_argument("--rate", type=float, nargs="+", default=[80.0, 86.13], help="mel frames a second")
    parser.add_argument("--symbols", type=int, default=150, help="of each")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--preset", choices=sorted(ALIGNERS), default="mini", help="aligner whose step is timed")
    parser.add_argument("--device", default="cpu", help="where the training step runs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = torch.Generator().manual_seed(0)
    count = torch.full((options.batch,), options.symbols)
    plain = ALIGNERS[options.preset]
    config = AlignerConfig(encoder=plain.encoder, num_symbols=100, num_mels=plain.num_mels, optional_symbols=(1,))
    for rate in options.rate:
        frames = int(options.seconds * rate)
        score, is_optional = made_up_score(options.batch, options.symbols, frames, rng)
        length = torch.full((options.batch,), frames)
        search = partial(monotonic_alignment_search, score, count, length, is_optional)
        search()  # compiled, or read from the cache
        ours, found = timed(search, options.repeats)
        theirs, wanted = timed(partial(reference_of_batch, score, is_optional), 1)
        apart = (path_values(score, found) - path_values(score, wanted)).abs().max()
        share = share_of_training(config, (options.batch, options.symbols, frames), options.device, options.repeats)
        print(  # noqa: T201
            f"{options.batch} x {frames} frames ({rate} a second) x {options.symbols} symbols, {options.threads}"
            f" threads: {ours:.1f} ms; numpy per item {theirs:.0f} ms, {theirs / ours:.0f} times that; paths differ by"
            f" {float(apart):.1g}\n  aligner {options.preset} on {options.device}: {share}"
        )


if __name__ == "__main__":
    main()
