"""How near do the borders of CTC forced alignment lie to the true ones? On speech and with a model made on the spot.

flite reads sentences of the mini corpus and tells when it says each word; a small Wav2Vec2ForCTC is trained on some of
them from scratch and saved as published models are; the words and borders of sentences it never saw are measured.

    python tools/bench/ctc_alignment.py speak --output exp/ctc
    python tools/bench/ctc_alignment.py train --output exp/ctc --minutes 20
    python tools/bench/ctc_alignment.py measure --output exp/ctc [--model FOLDER]
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from recipes.corpora.phone_times import read_aloud
from recipes.corpora.sentences import draw_sentences
from recipes.corpora.synthesizers import BaseVoice, speak
from resgen_tts.common.run_dir import read_jsonl, write_json, write_text
from resgen_tts.common.wheel_hooks import install
from resgen_tts.evaluation.judges.ctc_alignment import CtcAligner
from resgen_tts.evaluation.judges.ctc_asr import CtcRecognizer
from resgen_tts.evaluation.judges.pocketsphinx_alignment import PocketSphinxAligner
from resgen_tts.evaluation.measures.boundaries import boundary_errors, matched_words, summarize
from resgen_tts.evaluation.measures.text_error import text_error, total
from resgen_tts.evaluation.measures.timed import Aligner, Timed
from resgen_tts.evaluation.waves import SCORING_RATE, read_wave

LETTERS = "ETAONIHSRDLUMWCFGYPBVK'XJQZ"
VOCABULARY = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4} | {one: 5 + i for i, one in enumerate(LETTERS)}
MARKS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def speak_split(folder: Path, split: str, texts: Sequence[str], voices: Sequence[BaseVoice]) -> None:
    """Waves of each text by each voice, and a list with the true times of those that are measured."""
    import soundfile
    import soxr

    rows = []
    for voice in voices:
        timed: list[Timed | None] = [None] * len(texts)
        if split == "test":
            readings = read_aloud(voice, texts)
            spoken = [(one.wave, one.sample_rate) for one in readings]
            timed = [one.timed for one in readings]
        else:
            spoken = speak(voice, texts)
        for number, (text, (wave, rate), times) in enumerate(zip(texts, spoken, timed, strict=True)):
            path = folder / split / f"{voice.name}-{number:04d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, soxr.resample(wave, rate, SCORING_RATE), SCORING_RATE)
            row = {"wave": path.name, "voice": voice.name, "text": text}
            rows.append(row | ({} if times is None else {"times": times.to_json()}))
    write_text(folder / f"{split}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def new_model(width: int, layers: int) -> Any:
    """A small Wav2Vec2ForCTC of 20 ms frames.

    Its first convolution starts as a bank of tones of 25 ms on the mel scale, which saves it most of the training that
    raw samples take.
    """
    import torch

    install()
    import transformers

    config = transformers.Wav2Vec2Config(
        vocab_size=len(VOCABULARY), pad_token_id=0, hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=4, intermediate_size=4 * width, conv_dim=[width, width], conv_kernel=[400, 3],
        conv_stride=[160, 2], feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True,
        num_conv_pos_embeddings=32, num_conv_pos_embedding_groups=8, ctc_loss_reduction="mean", ctc_zero_infinity=True,
        apply_spec_augment=False, layerdrop=0.0, hidden_dropout=0.1, attention_dropout=0.0, activation_dropout=0.0,
        feat_proj_dropout=0.0, final_dropout=0.0,
    )  # fmt: skip
    model = transformers.Wav2Vec2ForCTC(config)
    mel = np.linspace(2595 * math.log10(1 + 80 / 700), 2595 * math.log10(1 + 7600 / 700), width // 2)
    phase = 2 * np.pi * (700 * (10 ** (mel / 2595) - 1))[:, None] * np.arange(400) / SCORING_RATE
    bank = np.concatenate([np.cos(phase), np.sin(phase)]) * np.hanning(400) / 10
    with torch.no_grad():
        model.wav2vec2.feature_extractor.conv_layers[0].conv.weight.copy_(torch.from_numpy(bank[:, None]).float())
    return model


def train(folder: Path, *, minutes: float, width: int, layers: int, batch: int, seed: int, resume: bool) -> None:
    """Train for so long on one thread, and save the model as published ones are."""
    import torch

    install()
    import transformers

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows = read_jsonl(folder / "train.jsonl")
    waves = [read_wave(folder / "train" / row["wave"]) for row in rows]
    targets = [[VOCABULARY[one] for one in row["text"].upper().replace(" ", "|") + "|"] for row in rows]
    there = folder / "model"
    model = transformers.Wav2Vec2ForCTC.from_pretrained(there) if resume else new_model(width, layers)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    start, step, losses = time.monotonic(), 0, []
    bar = tqdm(total=round(60 * minutes), desc="train", unit="s")
    while (passed := time.monotonic() - start) < 60 * minutes:
        rate = 1.5e-3 * min(1.0, (step + 1) / 200) * max(0.02, 1 - (passed / (60 * minutes)) ** 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        picked = rng.choice(len(rows), batch, replace=False)
        # A start that is cut differently each time, so that frames do not always lie alike, and some noise.
        own = [np.pad(waves[i], (int(rng.integers(0, 1600)), int(rng.integers(0, 1600)))) for i in picked]
        own = [one + rng.choice([1e-4, 1e-3, 3e-3]) * rng.standard_normal(len(one)) for one in own]
        own = [(one - one.mean()) / one.std() for one in own]
        size, long = max(map(len, own)), max(len(targets[i]) for i in picked)
        values = torch.tensor(np.stack([np.pad(one, (0, size - len(one))) for one in own]), dtype=torch.float32)
        mask = torch.tensor([[1] * len(one) + [0] * (size - len(one)) for one in own])
        labels = torch.tensor([targets[i] + [-100] * (long - len(targets[i])) for i in picked])
        loss = model(values, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        losses.append(float(loss.detach()))
        bar.n = min(bar.total, round(passed))
        bar.set_postfix(step=step, loss=f"{np.mean(losses[-50:]):.3f}")
    save(model, there)
    trained = {"steps": step, "minutes": minutes, "loss": float(np.mean(losses[-50:])), "resumed": resume, "seed": seed}
    write_json(folder / f"training-{int(time.time())}.json", trained)


def save(model: Any, folder: Path) -> None:
    """A model with its vocabulary and the settings of its features."""
    model.eval().save_pretrained(folder)
    write_json(folder / "vocab.json", VOCABULARY)
    write_json(folder / "tokenizer_config.json", MARKS | {"do_lower_case": False, "word_delimiter_token": "|"})
    features = {"do_normalize": True, "feature_size": 1, "padding_side": "right", "padding_value": 0.0}
    write_json(
        folder / "preprocessor_config.json", features | {"return_attention_mask": True, "sampling_rate": SCORING_RATE}
    )


def measure(folder: Path, model: Path) -> dict[str, Any]:
    """Word errors, and the distances of borders in ms from the true ones, of sentences that were not trained on."""
    rows = read_jsonl(folder / "test.jsonl")
    paths, texts = [folder / "test" / row["wave"] for row in rows], [row["text"] for row in rows]
    heard = CtcRecognizer(model).transcribe(paths)
    errors = [text_error(text, words) for text, words in zip(texts, heard, strict=True)]
    true = [Timed.from_json(row["times"]) for row in rows]
    aligners: list[Aligner] = [CtcAligner(model), PocketSphinxAligner()]
    return {
        "sentences": len(rows),
        "word_error_rate": total([one.words for one in errors]).rate,
        "character_error_rate": total([one.characters for one in errors]).rate,
        "borders": {aligner.name: borders(aligner, paths, texts, true) for aligner in aligners},
    }


def borders(
    aligner: Aligner, paths: Sequence[Path], texts: Sequence[str], true: Sequence[Timed]
) -> dict[str, dict[str, float]]:
    """Absolute and signed distances in ms; signed ones are positive where a border is found late."""
    found = [one.timed or Timed(words=()) for one in aligner.align(paths, texts)]
    summary = summarize([boundary_errors(truth, one) for truth, one in zip(true, found, strict=True)], seed=0)
    pairs = [pair for truth, one in zip(true, found, strict=True) for pair in matched_words(truth.words, one.words)]
    late = {
        "word starts": [1000 * (right.start - left.start) for left, right in pairs],
        "word ends": [1000 * (right.end - left.end) for left, right in pairs],
    }
    late["words"] = late["word starts"] + late["word ends"]
    return {
        kind: {
            "borders": score.borders,
            "matched_share": score.matched_share,
            "median_ms": score.median_ms.value,
            "within_40_ms": score.within[40].value,
            "median_late_ms": float(np.median(late[kind])),
        }
        for kind, score in summary.items()
        if kind in late
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["speak", "train", "measure"])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="of measure; the one trained here by default")
    parser.add_argument("--voices", nargs="+", default=["rms", "slt", "awb"], help="of flite")
    parser.add_argument("--train", type=int, default=400, help="sentences that each voice reads")
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="train the model that is there further")
    options = parser.parse_args()
    if options.stage == "speak":
        texts = draw_sentences(options.train + options.test, random.Random(options.seed))
        voices = [BaseVoice(engine="flite", name=name) for name in options.voices]
        speak_split(options.output, "test", texts[: options.test], voices)
        speak_split(options.output, "train", texts[options.test :], voices)
    elif options.stage == "train":
        sizes = {name: getattr(options, name) for name in ("minutes", "width", "layers", "batch", "seed", "resume")}
        train(options.output, **sizes)
    else:
        found = measure(options.output, options.model or options.output / "model")
        write_json(options.output / "measured.json", found)
        sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
