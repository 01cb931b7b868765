"""Time and memory of the mixture loss, forward and backward, against the form that computes all component means.

    python tools/bench/mixture_loss.py --threads 1

``all means`` forms the K x C means of every position, subtracts, squares and sums; ``ours`` is MixtureHead.nll. Both are
timed from the hidden states on (``head + loss``: the linear layer of the means included) and from the low-rank means on
(``loss alone``). Rounds are interleaved, figures are medians; memory is the growth of a fresh process's peak, beyond
parameters, inputs and their gradients.
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
from resgen_tts.core.mixture import bound_parts, normalized_target, split_by_basis
from resgen_tts.nn.mixture_head import MixtureHead


def all_means(head: MixtureHead, low: Tensor, states: Tensor, target: Tensor) -> Tensor:
    """The bound with every mean written out."""
    log_scale = head._log_scale(states)
    normalized = normalized_target(target, head._shift(states), log_scale)
    means = low @ head.basis.T + head.offset  # [N, K, C]
    distance = (normalized[:, None] - means.float()).square().sum(-1)
    return bound_parts(-distance / 2, head.component_log_weights(states), log_scale, target.shape[1])["total"]


def gram(head: MixtureHead, low: Tensor, states: Tensor, target: Tensor) -> Tensor:
    """The bound from low-rank means that are there already: no mean of C numbers, nothing to compute twice."""
    log_scale = head._log_scale(states)
    centred = normalized_target(target, head._shift(states), log_scale) - head.offset
    inside, outside = split_by_basis(centred, head._orthonormal())
    distance = outside[:, None] + (inside[:, None] - low.float()).square().sum(-1)
    return bound_parts(-distance / 2, head.component_log_weights(states), log_scale, target.shape[1])["total"]


def build(options: argparse.Namespace) -> dict[str, Callable[[], Tensor]]:
    """The loss of every variant, as a function without arguments."""
    torch.manual_seed(0)
    head = MixtureHead(options.width, options.dim, options.components, options.rank)
    states = torch.randn(options.positions, options.width, requires_grad=True)
    target = torch.randn(options.positions, options.dim)
    shape = (options.positions, options.components, options.rank)
    low = torch.randn(shape, requires_grad=True)

    def mixed(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def call() -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return function()

        return call

    plain = {
        "head + loss, all means": lambda: all_means(head, head.means(states).view(shape), states, target),
        "head + loss, ours": lambda: head.nll(states, target)["total"],
        "loss alone, all means": lambda: all_means(head, low, states, target),
        "loss alone, ours": lambda: gram(head, low, states, target),
    }
    variants = {f"{name}, fp32": call for name, call in plain.items()}
    variants |= {f"{name}, bf16": mixed(call) for name, call in plain.items() if name.startswith("head")}
    for parameter in (*head.parameters(), states, low):
        parameter.grad = torch.zeros_like(parameter)  # counted as there already
    return variants


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
    print((_status("VmHWM") - before) / 1024)


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
    print(f"K = {options.components}, C = {options.dim}, h = {options.rank}, O = {options.width}, "
          f"{options.positions} positions, {options.threads} threads")  # fmt: skip
    for name, row in rows.items():
        base = rows[f"{name.split(',')[0]}, all means, fp32"]
        row["faster"], row["smaller"] = base["cpu_seconds"] / row["cpu_seconds"], base["mebibytes"] / row["mebibytes"]
        print(f"{name:34} {row['cpu_seconds']:7.3f} s {row['mebibytes']:8.0f} MiB   {row['faster']:5.1f}x faster, "
              f"{row['smaller']:5.1f}x smaller than all means in fp32")  # fmt: skip
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"command": " ".join(["python", *sys.argv]), "commit": commit_hash(),
                       "hardware": hardware_line(), "rows": rows}, file, indent=1)  # fmt: skip


if __name__ == "__main__":
    main()
