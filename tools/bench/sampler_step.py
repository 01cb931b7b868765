"""Where one sampling step of ResGen spends its time, and what more levels cost, in one interleaved run.

Two settings of random weights: "speech" (108 frames, C = 512, aligned condition) and "image" (64 frames,
C = 64, classes), each with a trunk of about 31M parameters, K = 1024, rank 64, V = 1024, 16 steps. The codebooks are
Gaussian in a subspace of 64 dimensions, their variance falls by V^(-2/64) a level, as that of the best quantizer of
Gaussian latents, and the head draws latents from there: confidences are what they are in a trained system, about -1/2 a
level.

    python tools/bench/sampler_step.py --threads 1 --precision bf16 --rounds 5 --json step.json
"""

import argparse
import contextlib
import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import torch

from resgen_tts.common.randomness import generator
from resgen_tts.common.run_dir import commit_hash, hardware_line, write_json
from resgen_tts.core import reveal as reveal_module
from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.proposal import LatentProposal
from resgen_tts.core.sampler_config import SamplerConfig
from resgen_tts.models import resgen as resgen_module
from resgen_tts.models.resgen import ResGen, ResGenConfig
from resgen_tts.models.trunk import measure_level_energy
from resgen_tts.nn.mixture_head import MixtureHead

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
CODEBOOK_SIZE, STEPS = 1024, 16
NOISE_SHARE = 1e-3  # of a drawn latent's variance, less than what the deepest codebook leaves
SHARE_GOAL, DEPTH_GOAL = 0.08, 1.08  # of head + quantisation + ranking in a step; of depth 32 over depth 8
DEPTHS = (8, 16, 32)
ORDERS = ("confidence", "random")


@dataclass(frozen=True)
class Setting:
    """One generator and the grid that it fills."""

    frames: int
    dim: int
    depth: int  # of the shares
    config: ResGenConfig


TRUNK = {"width": 512, "layers": 10, "heads": 8, "components": 1024, "rank": 64}
SETTINGS = {
    "speech": Setting(108, 512, 32, ResGenConfig(**TRUNK, condition_dim=256)),
    "image": Setting(64, 64, 16, ResGenConfig(**TRUNK, num_classes=10, grid_width=8)),
}


@dataclass
class Clock:
    """Seconds by piece; pieces do not overlap."""

    now: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def timed(self, piece: str, function):
        """The function, whose time is added to its piece."""

        def call(*arguments, **named):
            start = self.now()
            result = function(*arguments, **named)
            self.seconds[piece] += self.now() - start
            return result

        return call


PIECES = {  # piece: the functions that it is made of
    "head": [
        (MixtureHead, "component_log_weights"), (MixtureHead, "component_mean"), (resgen_module, "draw_index")
    ],
    "quantisation": [(LatentProposal, "codes_at"), (LatentProposal, "ranked")],
    "ranking": [(reveal_module, "_best"), (reveal_module, "_random"), (reveal_module, "_offset")],
    "visible sums": [(ResGen, "visible_input")],
}  # fmt: skip


@contextlib.contextmanager
def timed_pieces(model: ResGen, now: Callable[[], float]) -> Iterator[Clock]:
    """Time the pieces of every step while the context is open."""
    clock = Clock(now)
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(model.trunk, "forward", clock.timed("trunk", model.trunk.forward)))
        for piece, functions in PIECES.items():
            for owner, name in functions:
                stack.enter_context(mock.patch.object(owner, name, clock.timed(piece, getattr(owner, name))))
        yield clock


def random_resgen(setting: Setting, depth: int, seed: int) -> ResGen:
    """Random weights, made so that drawn latents lie where the codebooks do, with some noise around."""
    rng = generator(seed, "model", depth)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rank = setting.config.rank
        basis = torch.linalg.qr(torch.randn(setting.dim, rank, generator=rng)).Q
        # Per dimension of the subspace, the latents' variance is C / h: 1 per dimension of the whole space.
        decay = CODEBOOK_SIZE ** (-2 / rank)
        deviation = (decay ** torch.arange(depth) * (1 - decay) * setting.dim / rank).sqrt()
        books = torch.randn(depth, CODEBOOK_SIZE, rank, generator=rng) * deviation[:, None, None] @ basis.T
        latents = torch.randn(1, 512, rank, generator=rng) * (setting.dim / rank) ** 0.5 @ basis.T
        space = CodeSpace(books, torch.ones(depth))
        codes = space.quantize(latents)
        left = latents[..., None, :] - space.embed(codes).cumsum(-2)
        space = CodeSpace(books, left.square().mean((0, 1, 3)))
        model = ResGen(setting.config, space, measure_level_energy(space, codes[0])).eval().requires_grad_(False)
    head = model.head
    head.basis.copy_(basis)
    head.means.bias.mul_((setting.dim / rank / NOISE_SHARE) ** 0.5)
    log_scale = 0.5 * math.log(NOISE_SHARE)
    head.log_scale.bias.fill_(head.max_log_scale * math.atanh(log_scale / head.max_log_scale))
    return model


def generate(model: ResGen, setting: Setting, order: str, precision: str, seed: int) -> None:
    """One item, all frames."""
    is_target = torch.ones(1, setting.frames, dtype=torch.bool)
    blank = torch.zeros(1, setting.frames, model.code_space.depth, dtype=torch.long)
    rng = generator(seed, "draws")
    condition = torch.zeros(1, dtype=torch.long)
    if setting.config.condition_dim:
        condition = torch.randn(1, setting.frames, setting.config.condition_dim, generator=rng)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        model.generate(blank, is_target, ~is_target, condition, SamplerConfig(steps=STEPS, order=order), rng)


def spread(values: list[float]) -> dict[str, float]:
    """Median and extremes."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def bf16_layers(model: ResGen) -> ResGen:
    """The trunk's large layers stored in bf16, so that autocast does not cast them at every step."""
    for module in model.trunk.transformer.modules():
        if isinstance(module, torch.nn.Linear):
            module.bfloat16()
    return model


def measure(name: str, precision: str, rounds: int, seed: int, now: Callable[[], float]) -> dict:
    """Shares of a step and times by depth of one setting; all variants take turns in every round."""
    setting = SETTINGS[name]
    models = {depth: random_resgen(setting, depth, seed) for depth in sorted({*DEPTHS, setting.depth})}
    if precision == "bf16":
        models = {depth: bf16_layers(model) for depth, model in models.items()}
    walls, pieces = defaultdict(list), {order: defaultdict(list) for order in ORDERS}
    for turn in range(-1, rounds):
        for order in ORDERS:
            for depth in DEPTHS:
                start = now()
                generate(models[depth], setting, order, precision, seed)
                walls[order, depth].append(now() - start)
            with timed_pieces(models[setting.depth], now) as clock:
                start = now()
                generate(models[setting.depth], setting, order, precision, seed)
                total = now() - start
            seconds = {**clock.seconds, "everything else": total - sum(clock.seconds.values())}
            for piece, spent in seconds.items():
                pieces[order][piece].append(spent / total)
        if turn < 0:  # warm-up
            walls.clear()
            for rows in pieces.values():
                rows.clear()
    shares = {
        order: {piece: spread(pieces[order][piece]) for piece in ("trunk", *PIECES, "everything else")}
        for order in ORDERS
    }
    times = {order: {depth: spread(walls[order, depth]) for depth in DEPTHS} for order in ORDERS}
    of_trunk = sum(parameter.numel() for parameter in models[8].trunk.parameters())
    return {"trunk_parameters": of_trunk, "depth": setting.depth, "shares": shares, "seconds_by_depth": times}


def verdicts(name: str, figures: dict) -> list[dict]:
    """What the goals say of one setting's figures."""
    rows = []
    for order in ORDERS:
        shares = figures["shares"][order]
        around = sum(shares[piece]["median"] for piece in ("head", "quantisation", "ranking"))
        times = figures["seconds_by_depth"][order]
        deeper = times[DEPTHS[-1]]["median"] / times[DEPTHS[0]]["median"]
        for goal, value, most in (
            ("head + quantisation + ranking, share of a step", around, SHARE_GOAL),
            (f"depth {DEPTHS[-1]} / depth {DEPTHS[0]}", deeper, DEPTH_GOAL),
        ):
            rows.append(
                {"setting": name, "order": order, "goal": goal, "value": value, "most": most, "holds": value <= most}
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: of the process, for a machine that others use too"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0 leaves torch's choice")
    parser.add_argument("--layers", type=int, help="layers of the trunk, for a quick look; default: 10")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.layers:
        for name, setting in SETTINGS.items():
            SETTINGS[name] = replace(setting, config=replace(setting.config, layers=options.layers))
    report = {
        "command": " ".join(["python", *sys.argv]), "commit": commit_hash(), "hardware": hardware_line(),
        "threads": torch.get_num_threads(), "precision": options.precision, "clock": options.clock,
        "settings": {}, "goals": [],
    }  # fmt: skip
    for name in options.settings:
        figures = measure(name, options.precision, options.rounds, options.seed, CLOCKS[options.clock])
        report["settings"][name] = figures
        report["goals"] += verdicts(name, figures)
        say(f"{name}, {options.precision}, {report['threads']} threads, trunk {figures['trunk_parameters'] / 1e6:.1f}M")
        for order in ORDERS:
            shares = ", ".join(f"{piece} {100 * s['median']:.1f} %" for piece, s in figures["shares"][order].items())
            times = figures["seconds_by_depth"][order]
            first = times[DEPTHS[0]]["median"]
            ratios = ", ".join(f"{d}: {t['median']:.3f} s ({t['median'] / first:.3f}x)" for d, t in times.items())
            say(f"  {order:10}  depth {figures['depth']}: {shares}\n{'':14}by depth {ratios}")
    for row in report["goals"]:
        word = "holds" if row["holds"] else "MISSED"
        say(f"{word:6} {row['setting']}, {row['order']}: {row['goal']}: {row['value']:.3f} (at most {row['most']})")
    if options.json:
        write_json(options.json, report)


def say(text: str) -> None:
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
