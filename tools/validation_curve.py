"""What a generator sounds like while it trains: fixed items, spoken by every checkpoint and scored, against hours.

    python tools/validation_curve.py --exp egs/studio/exp/base --data egs/studio/data/full --items 24 --output exp/curve
    python tools/validation_curve.py ... --watch      waits for further checkpoints, until the training is finished

Each checkpoint of EXP/generator is taken with its averaged weights, and speaks the same pairs of unseen speakers with
the same sampler and seeds, on one thread. Rows are appended to ``curve.jsonl`` (step, hours, WER over a closed
vocabulary, similarity, own speaker first, duration error, mel L1 of copies) and drawn as ``curve.png``; a checkpoint
that has a row is not spoken again. Pairs are drawn from the split dev (by choice of speakers in turn), or are those of
the test split; without ``--lm`` the closed vocabulary is the items' own words, all alike likely.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import CheckpointError, DataError, ResGenError

SAMPLER = ("top_p=0.5", "temperature=0", "guidance=1.5")  # what the recipes speak with
TARGET_SECONDS = (1.5, 9.0)
PROMPT_SECONDS = (2.5, 10.0)
PATIENCE = 3  # looks at a checkpoint that cannot be read before it is given up


def choose_dev_pairs(cuts: Sequence[Any], num_items: int, seed: int, is_known: Callable[[str], bool]) -> list[dict]:
    """Pairs of one speaker's recordings, the speakers in turn; the same for the same cuts and seed.

    Args:
        cuts: of one split.
        num_items: at most so many.
        is_known: whether the recogniser knows all words of a text; others are no targets.
    Raises:
        DataError: fewer than two speakers have a pair.
    """
    by_speaker: dict[str, list[Any]] = {}
    for cut in sorted(cuts, key=lambda cut: cut.id):
        if cut.supervisions[0].text:
            by_speaker.setdefault(cut.supervisions[0].speaker, []).append(cut)
    rng = random.Random(seed)
    pairs: dict[str, list[dict]] = {}
    for speaker in sorted(by_speaker):
        own = rng.sample(by_speaker[speaker], len(by_speaker[speaker]))
        prompts = [cut for cut in own if PROMPT_SECONDS[0] <= cut.duration <= PROMPT_SECONDS[1]]
        for target in own:
            others = [cut for cut in prompts if cut.supervisions[0].text != target.supervisions[0].text]
            if not others or not TARGET_SECONDS[0] <= target.duration <= TARGET_SECONDS[1]:
                continue
            if is_known(target.supervisions[0].text):
                pair = {"id": target.id, "prompt": rng.choice(others).id, "target": target.id, "speaker": speaker}
                pairs.setdefault(speaker, []).append(pair)
    if len(pairs) < 2:
        raise DataError(f"{len(pairs)} speakers of the split have a prompt and a target; at least two are needed.")
    speakers = rng.sample(sorted(pairs), len(pairs))
    rounds = max(len(own) for own in pairs.values())
    return [pairs[name][turn] for turn in range(rounds) for name in speakers if turn < len(pairs[name])][:num_items]


class Curve:
    """A folder with the rows that were measured."""

    def __init__(self, output: Path, settings: dict[str, Any]):
        from resgen_tts.common.run_dir import read_json, read_jsonl, write_json

        self.output, self.file = output, output / "curve.jsonl"
        kept = output / "settings.json"
        if kept.is_file() and read_json(kept) != json.loads(json.dumps(settings)):
            raise DataError(
                f"{output} holds a curve of other items or another sampler.",
                code="STALE_OUTPUT",
                hint="Write to another folder, or remove it.",
            )
        write_json(kept, settings)
        self.rows: list[dict[str, Any]] = read_jsonl(self.file) if self.file.is_file() else []

    @property
    def steps(self) -> set[int]:
        """Those that have a row."""
        return {row["step"] for row in self.rows}

    def add(self, row: dict[str, Any], title: str) -> None:
        """Append a row and draw all of them."""
        from resgen_tts.evaluation.validation_curve import draw_validation_curve

        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.rows.append(row)
        draw_validation_curve(self.output / "curve.png", self.rows, title)


def averaged(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights of a checkpoint, averaged where averages are kept, and its configuration.

    Raises:
        CheckpointError: it is not whole, or is gone.
    """
    from resgen_tts.common.run_dir import read_json
    from resgen_tts.engine.checkpoint import CONFIG, MODEL, load_tensors, verify

    verify(checkpoint)
    weights = load_tensors(checkpoint / MODEL)
    if (checkpoint / "average.safetensors").is_file():
        weights |= load_tensors(checkpoint / "average.safetensors")
    return weights, read_json(checkpoint / CONFIG)


class Judge:
    """Items, scorers and the parts that do not change."""

    def __init__(self, options: argparse.Namespace):
        from resgen_tts.apps.sampler_words import changed
        from resgen_tts.apps.synthesize import Manner
        from resgen_tts.core.sampler_config import SamplerConfig
        from resgen_tts.evaluation.pocketsphinx_asr import PocketSphinx
        from resgen_tts.evaluation.remembered import RememberingEncoder, RememberingRecognizer
        from resgen_tts.evaluation.resemblyzer_speaker import Resemblyzer

        self.exp, self.output, self.seed = options.exp, options.output, options.seed
        self.mel_vae = options.mel_vae or options.exp / "mel_vae"
        self.vocoder = options.vocoder or options.exp / "vocoder"
        self.manner = Manner(sampler=changed(SamplerConfig(), [*SAMPLER, f"steps={options.steps}", *options.sampler]))
        self.tasks = self._tasks(options)
        self.lm = options.lm or self._own_vocabulary()
        self.recognizer = RememberingRecognizer(PocketSphinx(self.lm))
        self.encoder = RememberingEncoder(Resemblyzer())
        self.copies: dict[tuple[str, str], dict[str, float]] = {}

    def settings(self) -> dict[str, Any]:
        """What rows of one curve have in common."""
        from resgen_tts.common.run_dir import sha256_file

        return {
            "items": [[task.id, task.prompt_id] for task in self.tasks],
            "sampler": vars(self.manner.sampler),
            "seed": self.seed,
            "words": sha256_file(self.lm / "words.txt"),
            "model": sha256_file(self.lm / "vocabulary.arpa"),
        }

    def measure(self, checkpoint: Path, step: int) -> dict[str, Any]:
        """The row of one checkpoint; its clones stay in ``step-*/wav/clone``."""
        from resgen_tts.apps.pretrained import load_system
        from resgen_tts.apps.synthesize import speak_tasks
        from resgen_tts.engine.checkpoint import save_model
        from resgen_tts.evaluation.protocols import read_synth
        from resgen_tts.evaluation.scores import score_folder
        from resgen_tts.evaluation.validation_curve import curve_row, training_hours, validation_loss

        weights, config = averaged(checkpoint)
        folder = self.output / checkpoint.name
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped, perhaps with other weights
        with tempfile.TemporaryDirectory(prefix="resgen-curve-") as scratch:
            save_model(Path(scratch) / "generator", weights, config, step=step)
            system = load_system(self.mel_vae, self.vocoder, Path(scratch) / "generator")
        _, failed = speak_tasks(system, self.tasks, folder, self.manner, self.seed, has_copies=False)
        (folder / "run.json").write_text("{}\n", encoding="utf-8")
        report = score_folder(read_synth(folder), self.recognizer, self.encoder, seed=self.seed)
        metrics = self.exp / "generator" / "metrics.jsonl"
        row = {
            "step": step,
            "hours": training_hours(metrics, step),
            **curve_row(report),
            "failed": len(failed),
            "validation_loss": validation_loss(metrics, step),
            **self._copies(system),
        }
        for kind in ("recording", "prompt"):  # the same at every step
            shutil.rmtree(folder / "wav" / kind, ignore_errors=True)
        shutil.rmtree(folder / "items", ignore_errors=True)
        return row

    def _copies(self, system: Any) -> dict[str, float]:
        """What Mel-VAE and vocoder alone make of the recordings: the bound of every checkpoint, measured once."""
        import statistics

        from resgen_tts.common.run_dir import sha256_file
        from resgen_tts.evaluation.reconstruction import mel_l1
        from resgen_tts.evaluation.text_error import text_error, total
        from resgen_tts.evaluation.waves import read_wave
        from resgen_tts.speech.audio_io import save_wav

        files = [self._weights(folder) for folder in (self.mel_vae, self.vocoder)]
        key = tuple(sha256_file(file) if file.is_file() else str(file) for file in files)
        if key not in self.copies:
            distances, paths = [], []
            for task in self.tasks:
                recording = task.load_recording()
                waves = {"recording": recording, "copy": system.resynthesize(recording)}
                for name, wave in waves.items():
                    save_wav(self.output / "copies" / name / f"{task.id}.wav", wave, system.tokenizer.sample_rate)
                both = [self.output / "copies" / name / f"{task.id}.wav" for name in waves]
                distances.append(mel_l1(*map(read_wave, both)))
                paths.append(both[1])
            heard = self.recognizer.transcribe(paths)
            errors = [text_error(task.text, words).words for task, words in zip(self.tasks, heard, strict=True)]
            self.copies[key] = {"copy_mel_l1": statistics.fmean(distances), "copy_wer": total(errors).rate}
        return self.copies[key]

    def _weights(self, folder: Path) -> Path:
        from resgen_tts.apps.parts import final_folder

        return final_folder(folder) / "model.safetensors"

    def _tasks(self, options: argparse.Namespace) -> list[Any]:
        from resgen_tts.apps.synthesize import pair_tasks, tasks_of_pairs
        from resgen_tts.evaluation.pocketsphinx_asr import ClosedVocabulary, bundled_pronunciations
        from resgen_tts.speech.corpus import load_cuts

        if options.split == "test":
            return tasks_of_pairs(options.data)[: options.items]
        cuts = list(load_cuts(options.data, options.split))
        if options.lm is not None:
            known = set(ClosedVocabulary.load(options.lm).words)
        else:
            known = set(bundled_pronunciations([word for cut in cuts for word in words_of(cut.supervisions[0].text)]))
        pairs = choose_dev_pairs(cuts, options.items, options.seed, lambda text: known >= set(words_of(text)))
        return pair_tasks(options.data, pairs, options.split, "chosen pairs")

    def _own_vocabulary(self) -> Path:
        from resgen_tts.evaluation.pocketsphinx_asr import write_uniform_vocabulary

        folder = self.output / "lm"
        write_uniform_vocabulary(folder, [word for task in self.tasks for word in words_of(task.text)])
        return folder


def words_of(text: str | None) -> list[str]:
    """Words as the recogniser's dictionary writes them, apostrophes kept."""
    import re

    return re.findall(r"[a-z]+(?:'[a-z]+)*", (text or "").lower().replace("’", "'"))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def look(judge: Judge, curve: Curve, every: int, misses: dict[str, int]) -> int:
    """Measure the checkpoints that have no row yet, the oldest first; returns how many got one."""
    from resgen_tts.engine.checkpoint import checkpoint_folders

    done = 0
    root = judge.exp / "generator" / "checkpoints"
    while True:
        # Listed anew each time: the trainer keeps only the newest ones.
        waiting = [
            (int(folder.name.split("-")[1]), folder)
            for folder in checkpoint_folders(root)
            if misses.get(folder.name, 0) < PATIENCE
        ]
        waiting = sorted(pair for pair in waiting if pair[0] not in curve.steps and pair[0] % every == 0)
        if not waiting:
            return done
        step, folder = waiting[0]
        started = time.perf_counter()
        try:
            row = judge.measure(folder, step)
        except CheckpointError as error:
            misses[folder.name] = misses.get(folder.name, 0) + 1
            say(f"step {step}: left out for now: {error}")
            continue
        curve.add(row, f"{judge.exp.name}: {row['items']} items, {judge.recognizer.name}")
        done += 1
        hours = "hours not known" if row["hours"] is None else f"{row['hours']:.2f} h"
        say(
            f"step {step}, {hours}: WER {100 * row['wer']:.1f} % (copies {100 * row['copy_wer']:.1f} %, "
            f"recordings {100 * row['recording_wer']:.1f} %), "
            f"similarity {row['similarity_own']:.3f} own {row['similarity_others']:.3f} others, own first "
            f"{100 * row['own_first']:.0f} %, length off {100 * row['duration_error']:.1f} %, copies' mel L1 "
            f"{row['copy_mel_l1']:.3f}; measured in {time.perf_counter() - started:.0f} s"
        )


def is_finished(exp: Path, curve: Curve) -> bool:
    """Whether the training has ended and its last checkpoint has a row."""
    from resgen_tts.common.run_dir import read_json
    from resgen_tts.engine.checkpoint import checkpoint_folders

    final = exp / "generator" / "final" / "manifest.json"
    steps = [int(folder.name.split("-")[1]) for folder in checkpoint_folders(exp / "generator" / "checkpoints")]
    return final.is_file() and bool(steps) and read_json(final).get("step") == max(steps) and max(steps) in curve.steps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp", type=Path, required=True, help="experiment with generator/, mel_vae/ and vocoder/")
    parser.add_argument("--data", type=Path, required=True, help="prepared corpus")
    parser.add_argument("--split", choices=("dev", "test"), default="dev", help="test: the first pairs of pairs.tsv")
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--lm", type=Path, help="closed vocabulary; left out: the items' own words, all alike likely")
    parser.add_argument("--mel_vae", type=Path, help="in place of EXP/mel_vae")
    parser.add_argument("--vocoder", type=Path, help="in place of EXP/vocoder; griffin_lim where none is trained yet")
    parser.add_argument("--steps", type=int, default=16, help="of the sampler")
    parser.add_argument("--sampler", nargs="*", default=[], metavar="NAME=VALUE", help=f"over {' '.join(SAMPLER)}")
    parser.add_argument("--every", type=int, default=1, help="only checkpoints whose step is a multiple of this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--watch", action="store_true", help="wait for further checkpoints")
    parser.add_argument("--poll_seconds", type=float, default=30.0)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    try:
        judge = Judge(options)
        curve = Curve(options.output, judge.settings())
        speakers = len({task.speaker for task in judge.tasks})
        say(f"{len(judge.tasks)} items of {speakers} speakers, {judge.recognizer.name}")
        misses: dict[str, int] = {}
        while True:
            done = look(judge, curve, max(1, options.every), misses)
            if not options.watch or is_finished(options.exp, curve):
                break
            if not done:
                time.sleep(options.poll_seconds)
        say(f"{options.output / 'curve.png'}: {len(curve.rows)} checkpoints")
    except ResGenError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
