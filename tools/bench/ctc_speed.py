"""How many seconds of audio does the recogniser of the cross-sentence protocols hear in a second? With random weights.

A HubertForCTC of the shape of hubert-large-ls960-ft (24 layers of width 1024, 316 million parameters) hears waves of
noise in one batch; what is read and written besides takes no time worth counting.

    python tools/bench/ctc_speed.py --threads 1 2
    python tools/bench/ctc_speed.py --device cuda --waves 64 --batch 16
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from resgen_tts.common.run_dir import hardware_line
from resgen_tts.common.wheel_hooks import install
from resgen_tts.evaluation.judges.ctc_asr import CtcRecognizer
from resgen_tts.evaluation.waves import SCORING_RATE
from tools.bench.ctc_alignment import save

ITEMS = 3_711  # of the cross-sentence protocol: 1,237 utterances, three times


def full_size(layers: int) -> Any:
    """Random weights in the shape of the published model."""
    install()
    import transformers

    config = transformers.HubertConfig(
        vocab_size=32, pad_token_id=0, hidden_size=1024, num_hidden_layers=layers, num_attention_heads=16,
        intermediate_size=4096, feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True,
    )  # fmt: skip
    return transformers.HubertForCTC(config)


def main() -> None:
    import soundfile
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--waves", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each wave")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--layers", type=int, default=24)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        save(full_size(options.layers), Path(folder) / "model")
        recognizer = CtcRecognizer(Path(folder) / "model", batch_size=options.batch, device=options.device)
        paths = [Path(folder) / f"{number}.wav" for number in range(options.waves)]
        for path in paths:
            soundfile.write(path, 0.1 * rng.standard_normal(round(options.seconds * SCORING_RATE)), SCORING_RATE)
        size = sum(one.numel() for one in recognizer.model._model.parameters())
        sys.stdout.write(f"{size / 1e6:.1f} million parameters, {hardware_line()}\n")
        for threads in options.threads:
            torch.set_num_threads(threads)
            recognizer.transcribe(paths[:1])  # warm-up
            start, worked = time.perf_counter(), time.process_time()
            recognizer.transcribe(paths)
            wall, worked = time.perf_counter() - start, time.process_time() - worked
            speed = options.waves * options.seconds / wall
            sys.stdout.write(
                f"{options.device}, {threads} threads, batch {options.batch}: {speed:.2f} s of audio a second, "
                f"{options.waves * options.seconds / worked:.2f} a second of one core; "
                f"{ITEMS} items of {options.seconds:g} s take {ITEMS * options.seconds / speed / 3600:.1f} h\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
