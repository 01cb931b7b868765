"""Residual vector quantization against vector-quantize-pytorch's ResidualVQ, side by side: seconds and equal codes.

Both get the same vectors and codebooks in one process. Every repetition times the one and then the other; medians are
printed, of the clock and of the processor (which a busy machine disturbs less). Codes are compared with a greedy
search in float64.

    python tools/bench/rvq_search.py
    python tools/bench/rvq_search.py --vectors 100000 --threads 2 --peer-chunk 1000
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from resgen_tts.core.code_space import CodeSpace


def toy_space(depth: int, size: int, dim: int, rng: torch.Generator) -> CodeSpace:
    """Gaussian codebooks; a level has as much energy as what the coarser ones leave, some 0.85 of it per channel."""
    scale = 0.85 ** torch.arange(depth)
    return CodeSpace(torch.randn(depth, size, dim, generator=rng) * scale[:, None, None] / 3, scale.square())


def peer(space: CodeSpace, chunk: int) -> Callable[[Float[Tensor, "N C"]], Int[Tensor, "N D"]]:
    """vector-quantize-pytorch with the codebooks of ``space``, given ``chunk`` vectors at a time."""
    from vector_quantize_pytorch import ResidualVQ

    model = ResidualVQ(dim=space.dim, num_quantizers=space.depth, codebook_size=space.codebook_size)
    for layer, book in zip(model.layers, space.codebooks, strict=True):
        layer._codebook.embed.data.copy_(book[None])
        layer._codebook.initted.data.fill_(True)
    model.to(space.codebooks.device).eval()
    return lambda vectors: torch.cat([model(part[None])[1][0] for part in vectors.split(chunk)])


def equal_share(codes: Int[Tensor, "N D"], expected: Int[Tensor, "N D"]) -> str:
    """Percentages of equal codes and of vectors with all codes equal."""
    same = codes.cpu() == expected.cpu()
    return (
        f"{100 * float(same.double().mean()):.4f} % of codes, {100 * float(same.all(1).double().mean()):.3f} % of rows"
    )


def timed(function: Callable[[], Tensor], device: str) -> tuple[float, float, Tensor]:
    """Seconds that a call takes, those that the processor worked for it (all threads), and its result."""
    _wait(device)
    start, worked = time.perf_counter(), time.process_time()
    result = function()
    _wait(device)
    return time.perf_counter() - start, time.process_time() - worked, result


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--size", type=int, default=1024, help="codes per level")
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--peer-chunk", type=int, nargs="*", default=[], metavar="N",
        help="time the other library also with this many vectors per call (it is always given all at once)",
    )  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = torch.Generator().manual_seed(0)
    space = toy_space(options.depth, options.size, options.dim, rng).to(options.device)
    vectors = torch.randn(options.vectors, options.dim, generator=rng).to(options.device)

    searches = {"ours": lambda given: space.quantize(given[None])[0]}
    for chunk in dict.fromkeys([options.vectors, *options.peer_chunk]):
        searches[f"ResidualVQ, {chunk} a call"] = peer(space, chunk)
    seconds, worked, codes = {name: [] for name in searches}, {name: [] for name in searches}, {}
    with torch.inference_mode():
        for search in searches.values():  # buffers and libraries are warm before the clock runs
            search(vectors[:2000])
        for repeat in range(options.repeats):
            for name, search in searches.items():
                taken, processor, codes[name] = timed(lambda search=search: search(vectors), options.device)
                seconds[name].append(taken)
                worked[name].append(processor)
                print(f"  repetition {repeat}: {name} {taken:.3f} s", flush=True)  # noqa: T201
        exact = CodeSpace(space.codebooks.double(), space.level_variance.double())
        expected = exact.quantize(vectors.double()[None])[0]

    print(  # noqa: T201
        f"{options.vectors} vectors x {options.dim}, {options.depth} x {options.size} codes; "
        f"{options.threads} threads, {options.device}, torch {torch.__version__}; medians of {options.repeats}"
    )
    for name in searches:
        print(f"{name}:")  # noqa: T201
        for kind, times in (("seconds", seconds), ("processor seconds", worked)):
            median, ours = statistics.median(times[name]), statistics.median(times["ours"])
            print(f"    {median:.3f} {kind}, {median / ours:.2f} x ours")  # noqa: T201
        print(f"    equal to float64: {equal_share(codes[name], expected)}")  # noqa: T201
        print(f"    equal to ours: {equal_share(codes[name], codes['ours'])}")  # noqa: T201


if __name__ == "__main__":
    main()
