"""What keeping a prompt's keys and values saves while a target is generated, in one interleaved run.

ResGen of random weights: width 512, 12 layers, a prompt of 60 frames before a target of 108, 16 steps. Three ways take
turns in every round: attention over everything ("full"), prompt frames that see each other alone passed through the
network at every step ("own"), and the same with their keys and values kept ("kept").

    python tools/bench/prompt_cache.py --threads 1 --rounds 5 --json prompt_cache.json
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch

from resgen_tts.common.randomness import generator
from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models import resgen as resgen_module
from resgen_tts.models.prompted import PromptedTrunk
from resgen_tts.models.resgen import ResGen, ResGenConfig

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
DEPTH, CODEBOOK_SIZE, DIM, CONDITION = 32, 1024, 512, 256
CONFIG = ResGenConfig(width=512, layers=12, heads=8, components=1024, rank=64, condition_dim=CONDITION)
SAMPLERS = {
    "unguided": SamplerConfig(steps=16),
    "guided": SamplerConfig(steps=16, guidance_start=1.5, guidance_end=2.0),
}


class WholePass(PromptedTrunk):
    """Keeps nothing."""

    def __init__(self, *inputs):
        super().__init__(*inputs)
        self.num_kept = 0


def random_resgen(prompt_attention: str, layers: int, seed: int) -> ResGen:
    """Random weights and codebooks whose levels fall off by a quarter each."""
    books = torch.randn(DEPTH, CODEBOOK_SIZE, DIM, generator=generator(seed, "books"))
    space = CodeSpace(books * 0.75 ** torch.arange(DEPTH)[:, None, None], torch.ones(DEPTH))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ResGen(replace(CONFIG, layers=layers, prompt_attention=prompt_attention), space)
    return model.eval().requires_grad_(False)


def random_item(prompt: int, target: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, condition, and where the target is."""
    rng, frames = generator(seed, "item"), prompt + target
    codes = torch.randint(0, CODEBOOK_SIZE, (1, frames, DEPTH), generator=rng)
    return codes, torch.randn(1, frames, CONDITION, generator=rng), (torch.arange(frames) >= prompt)[None]


def generate(model: ResGen, way: str, item: tuple[torch.Tensor, ...], sampler: SamplerConfig, seed: int) -> None:
    """All codes of one target."""
    codes, condition, is_target = item
    with mock.patch.object(resgen_module, "PromptedTrunk", PromptedTrunk if way == "kept" else WholePass):
        model.generate(codes, is_target, torch.zeros_like(is_target), condition, sampler, generator(seed, "draws"))


def largest_difference(model: ResGen, item: tuple[torch.Tensor, ...]) -> float:
    """Of a target frame's state, with a kept prompt and without, at the second of two steps."""
    codes, condition, is_target = item
    is_padding, hidden = torch.zeros_like(is_target), is_target[..., None].repeat(1, 1, DEPTH)
    kept, whole = (kind(model, is_target, is_padding) for kind in (PromptedTrunk, WholePass))
    kept(codes, hidden, condition, is_padding)
    hidden[..., : DEPTH // 2] = False
    states = [trunk(codes, hidden, condition, is_padding)[is_target] for trunk in (kept, whole)]
    return float((states[0] - states[1]).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", type=int, default=60, help="frames")
    parser.add_argument("--target", type=int, default=108, help="frames")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: of the process, for a machine that others use too"
    )
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's choice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    now = CLOCKS[options.clock]
    own = random_resgen("own", options.layers, options.seed)
    models = {"full": random_resgen("full", options.layers, options.seed), "own": own, "kept": own}
    item = random_item(options.prompt, options.target, options.seed)
    report = {
        "command": " ".join(["python", *sys.argv]), "commit": commit_hash(), "hardware": hardware_line(),
        "threads": torch.get_num_threads(), "prompt": options.prompt, "target": options.target,
        "largest_difference": largest_difference(own, item), "seconds": {},
    }  # fmt: skip
    say(f"states of the target differ by at most {report['largest_difference']:.1e}")
    for name, sampler in SAMPLERS.items():
        seconds = defaultdict(list)
        for turn in range(-1, options.rounds):
            for way, model in models.items():
                start = now()
                generate(model, way, item, sampler, options.seed)
                if turn >= 0:  # the first is a warm-up
                    seconds[way].append(now() - start)
        ratios = [slow / fast for slow, fast in zip(seconds["own"], seconds["kept"], strict=True)]
        report["seconds"][name] = {
            **{way: statistics.median(values) for way, values in seconds.items()},
            "own_over_kept": statistics.median(ratios),
        }
        times = ", ".join(f"{way} {statistics.median(values):.3f} s" for way, values in seconds.items())
        say(f"{name}: {times}; own / kept {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    if options.json:
        write_json(options.json, report)


def say(text: str) -> None:
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
