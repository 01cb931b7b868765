"""Time and memory of the mixture loss, forward and backward, against the form that computes all component means.

    python tools/bench/mixture_loss.py --threads 1
    python tools/bench/mixture_loss.py --positions 1024 --rounds 3 --json loss.json

``all means`` forms the K x C means of every position, subtracts, squares and sums. ``head + loss`` starts from the
hidden states, so that the linear layer of the means is in it: ours is MixtureHead.nll, whose gradient leaves out the
components that do not matter at a position; ``all alike`` is its worst case, where they all do. ``loss alone`` starts
from low-rank means that are there already: ours is core.mixture.variational_nll. Rounds are interleaved, figures are
medians, each against ``all means`` of the same precision; time is that of the process on its processors, memory the
growth of a fresh process's peak resident size, beyond parameters, inputs and their gradients.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from resgen_tts.common.run_dir import commit_hash, hardware_line
from resgen_tts.core.mixture import Mixture, bound_parts, normalized_target, squared_distances, variational_nll
from resgen_tts.nn.mixture_head import MixtureHead

BASE = "all means"
FASTER_GOAL, SMALLER_GOAL = 6, 8


def all_means(head: MixtureHead, low: Tensor, states: Tensor, target: Tensor) -> Tensor:
    """The bound with every mean written out."""
    log_scale = head._log_scale(states)
    normalized = normalized_target(target, head._shift(states), log_scale)
    means = low @ head.basis.T + head.offset  # [N, K, C]
    distance = (normalized[:, None] - means).square().sum(-1)
    return bound_parts(-distance / 2, head.component_log_weights(states), log_scale, target.shape[1])["total"]


def from_low_means(head: MixtureHead, low: Tensor, states: Tensor, target: Tensor) -> Tensor:
    """The bound of a mixture whose low-rank means are given."""
    mixture = Mixture(
        head.component_log_weights(states[None]), low[None], head._orthonormal(), head.offset,
        head._log_scale(states[None]), head._shift(states[None]),
    )  # fmt: skip
    return variational_nll(mixture, target[None])["total"]


def build(options: argparse.Namespace) -> dict[str, Callable[[], Tensor]]:
    """The loss of every variant, as a function without arguments."""
    torch.manual_seed(0)
    sizes = (options.width, options.dim, options.components, options.rank)
    head, alike = MixtureHead(*sizes), MixtureHead(*sizes)
    torch.nn.init.zeros_(alike.means.weight)
    torch.nn.init.zeros_(alike.means.bias)
    states = torch.randn(options.positions, options.width, requires_grad=True)
    target = torch.randn(options.positions, options.dim)
    shape = (options.positions, options.components, options.rank)
    low = torch.randn(shape, requires_grad=True)

    def in_precision(name: str, function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def call() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
                return function()

        return call

    forms = {
        f"head + loss, {BASE}": lambda: all_means(head, head.means(states).view(shape), states, target),
        "head + loss, ours": lambda: head.nll(states, target)["total"],
        "head + loss, ours, all alike": lambda: alike.nll(states, target)["total"],
        f"loss alone, {BASE}": lambda: all_means(head, low, states, target),
        "loss alone, ours": lambda: from_low_means(head, low, states, target),
    }
    for leaf in (*head.parameters(), *alike.parameters(), states, low):
        leaf.grad = torch.zeros_like(leaf)  # counted as there already
    return {f"{form}, {name}": in_precision(name, call) for name in ("fp32", "bf16") for form, call in forms.items()}


def share_that_matters(options: argparse.Namespace) -> float:
    """Pairs of a position and a component that the gradient cannot leave out, of a fresh head."""
    torch.manual_seed(0)
    head = MixtureHead(options.width, options.dim, options.components, options.rank)
    states, target = torch.randn(32, options.width), torch.randn(32, options.dim)
    with torch.no_grad():
        weight = torch.softmax(-squared_distances(head(states[None]), target[None])[0] / 2, -1)
    return float((weight > torch.finfo(weight.dtype).eps * weight.amax(1, keepdim=True)).float().mean())


def step(call: Callable[[], Tensor]) -> None:
    """Forward and backward."""
    call().mean().backward()


def peak_growth(options: argparse.Namespace, name: str) -> float:
    """MiB by which a fresh process's peak grows over one step."""
    command = [sys.executable, __file__, "--child", name]
    for key in ("positions", "components", "dim", "rank", "width", "threads"):
        command += [f"--{key}", str(getattr(options, key))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def child(options: argparse.Namespace) -> None:
    """Print the growth of this process's own peak."""
    variants = build(options)
    torch.mm(torch.randn(64, 64), torch.randn(64, 64))  # libraries set up
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew from here
    before = _status("VmRSS")
    step(variants[options.child])
    say(str((_status("VmHWM") - before) / 1024))


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("positions", 256), ("components", 1024), ("dim", 512), ("rank", 64), ("width", 512), ("rounds", 5),
        ("threads", 1),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", help="write the figures here too")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.child:
        child(options)
        return
    variants = build(options)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(options.rounds + 1):
        for name, call in variants.items():
            start = time.process_time()  # of this process alone: others on the machine do not count
            step(call)
            if turn:
                seconds[name].append(time.process_time() - start)
    rows = {}
    for name, times in seconds.items():
        rows[name] = {"cpu_seconds": statistics.median(times), "mebibytes": peak_growth(options, name)}
    say(
        f"K = {options.components}, C = {options.dim}, h = {options.rank}, O = {options.width}, {options.positions} "
        f"positions, {options.threads} threads; {100 * share_that_matters(options):.1f} % of the pairs (position, "
        "component) matter"
    )
    for name, row in rows.items():
        piece, precision = name.split(", ")[0], name.split(", ")[-1]
        base = rows[f"{piece}, {BASE}, {precision}"]
        row["faster"], row["smaller"] = base["cpu_seconds"] / row["cpu_seconds"], base["mebibytes"] / row["mebibytes"]
        line = f"{name:36} {row['cpu_seconds']:7.3f} s {row['mebibytes']:6.0f} MiB"
        if row is not base:
            row["holds"] = row["faster"] >= FASTER_GOAL and row["smaller"] >= SMALLER_GOAL
            line += f"  {row['faster']:5.1f}x faster, {row['smaller']:5.1f}x smaller: "
            line += "holds" if row["holds"] else f"MISSED (at least {FASTER_GOAL}x and {SMALLER_GOAL}x)"
        say(line)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"command": " ".join(["python", *sys.argv]), "commit": commit_hash(),
                       "hardware": hardware_line(), "rows": rows}, file, indent=1)  # fmt: skip


def say(text: str) -> None:
    """Print."""
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
