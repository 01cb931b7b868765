"""What a generator sounds like while it trains: fixed items, spoken by every checkpoint and scored, against hours.

    python tools/validation_curve.py --exp egs/studio/exp/base --data egs/studio/data/full --items 24 --output exp/curve
    python tools/validation_curve.py ... --watch      waits for further checkpoints, until the training is finished

Each checkpoint of EXP/generator is taken with its averaged weights, and speaks the same pairs of unseen speakers with
the same sampler and seeds, on one thread. Rows are appended to ``curve.jsonl`` (step, hours, WER over a closed
vocabulary, leaks, similarity, own voice first, duration error, mel L1 of copies) and drawn as ``curve.png``; a
checkpoint that has a row is not spoken again. Pairs are drawn from the split dev (by choice of speakers in turn), or
are those of the test split; without ``--lm`` the closed vocabulary is the items' own words, all alike likely. A closed
vocabulary hears of a prompt only what it shares with the texts: leaks are those that show there.

The sampler is that of ``--sampler_config``, a recipe's ``conf/synthesize.yaml`` (left out: EXP/conf/synthesize.yaml,
and where that is not there, the sampler's own defaults), at ``--steps``. One folder holds the curve of one training
over one Mel-VAE; a vocoder that became another one meanwhile is told, and stands in its rows.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resgen_tts.common.errors import CheckpointError, DataError, ResGenError

if TYPE_CHECKING:
    from resgen_tts.evaluation.reports.validation_curve import Curve

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
        from resgen_tts.apps.bench.sampler_words import changed
        from resgen_tts.apps.scoring.synthesize import Manner
        from resgen_tts.evaluation.judges.pocketsphinx_asr import PocketSphinx
        from resgen_tts.evaluation.judges.remembered import RememberingEncoder, RememberingRecognizer
        from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer

        self.exp, self.output, self.seed = options.exp, options.output, options.seed
        self.mel_vae = options.mel_vae or options.exp / "mel_vae"
        self.vocoder = options.vocoder or options.exp / "vocoder"
        base = configured_sampler(options.sampler_config, options.exp / "conf" / "synthesize.yaml")
        self.manner = Manner(sampler=changed(base, [f"steps={options.steps}", *options.sampler]))
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
            "mel_vae": sha256_file(self._weights(self.mel_vae)),
        }

    def facts(self) -> dict[str, str | None]:
        """What tells one training from another, and the vocoder, which may still be trained: beginnings of hashes."""
        import hashlib

        from resgen_tts.common.run_dir import sha256_file

        log, weights = self.exp / "generator" / "metrics.jsonl", self._weights(self.vocoder)
        training = None
        if log.is_file():
            with open(log, "rb") as file:
                first = file.readline()  # times and losses: no other training begins so
            training = hashlib.sha256(first).hexdigest()[:12] if first.endswith(b"\n") else None
        return {
            "training": training,
            "vocoder": sha256_file(weights)[:12] if weights.is_file() else str(self.vocoder),
        }

    def measure(self, checkpoint: Path, step: int) -> dict[str, Any]:
        """The row of one checkpoint; its clones stay in ``step-*/wav/clone``."""
        from resgen_tts.apps.scoring.synthesize import speak_tasks
        from resgen_tts.apps.weights.pretrained import load_system
        from resgen_tts.engine.checkpoint import save_model
        from resgen_tts.evaluation.protocols.synth_folder import read_synth
        from resgen_tts.evaluation.reports.validation_curve import curve_row, training_hours, validation_loss
        from resgen_tts.evaluation.scores import Judges, score_folder

        facts = self.facts()  # before the vocoder is read: should it change meanwhile, the next row tells
        weights, config = averaged(checkpoint)
        folder = self.output / f"step-{step:08d}"
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped, perhaps with other weights
        with tempfile.TemporaryDirectory(prefix="resgen-curve-") as scratch:
            save_model(Path(scratch) / "generator", weights, config, step=step)
            system = load_system(self.mel_vae, self.vocoder, Path(scratch) / "generator")
        _, failed = speak_tasks(system, self.tasks, folder, self.manner, self.seed, has_copies=False)
        (folder / "run.json").write_text("{}\n", encoding="utf-8")
        report = score_folder(
            read_synth(folder), Judges(recognizer=self.recognizer, encoder=self.encoder), seed=self.seed
        )
        metrics = self.exp / "generator" / "metrics.jsonl"
        row = {
            "step": step,
            "hours": training_hours(metrics, step),
            **curve_row(report),
            "failed": len(failed),
            "validation_loss": validation_loss(metrics, step),
            **facts,
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
        from resgen_tts.evaluation.measures.reconstruction import mel_l1
        from resgen_tts.evaluation.measures.text_error import text_error, total
        from resgen_tts.evaluation.waves import read_wave
        from resgen_tts.speech.audio.save import save_wav

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
        from resgen_tts.apps.weights.parts import final_folder

        return final_folder(folder) / "model.safetensors"

    def _tasks(self, options: argparse.Namespace) -> list[Any]:
        from resgen_tts.apps.scoring.synthesize import pair_tasks, tasks_of_pairs
        from resgen_tts.evaluation.judges.pocketsphinx_asr import ClosedVocabulary, bundled_pronunciations
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
        from resgen_tts.evaluation.judges.pocketsphinx_asr import write_uniform_vocabulary

        folder = self.output / "lm"
        write_uniform_vocabulary(folder, [word for task in self.tasks for word in words_of(task.text)])
        return folder


def words_of(text: str | None) -> list[str]:
    """Words as the recogniser's dictionary writes them, apostrophes kept."""
    import re

    return re.findall(r"[a-z]+(?:'[a-z]+)*", (text or "").lower().replace("’", "'"))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def configured_sampler(given: Path | None, usual: Path) -> Any:
    """The sampler of a recipe's configuration.

    Args:
        given: by the user; it must be there.
        usual: read in its absence, where it is there.
    Raises:
        DataError: FILE_MISSING.
        ConfigError: a setting is unknown, or its value makes no sense.
    """
    import yaml

    from resgen_tts.common.config import from_plain
    from resgen_tts.core.sampler_config import SamplerConfig

    if given is not None and not given.is_file():
        raise DataError(f"{given} does not exist.", code="FILE_MISSING")
    path = given or usual
    if not path.is_file():
        say(f"no {path}: the sampler's own defaults; --sampler_config FILE names a recipe's")
        return SamplerConfig()
    return from_plain(SamplerConfig, (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("sampler", {}))


def last_step(exp: Path) -> int | None:
    """The step that a training ended with; None while it goes on."""
    from resgen_tts.common.run_dir import read_json

    manifest = exp / "generator" / "final" / "manifest.json"
    last = read_json(manifest).get("step") if manifest.is_file() else None
    reached = [step for step, _ in checkpoints(exp)]
    return None if last is None or last < max(reached, default=0) else last  # an older end, of a run that was continued


def checkpoints(exp: Path) -> list[tuple[int, Path]]:
    """Steps and folders that are there now, the oldest first: the trainer keeps only the newest ones."""
    from resgen_tts.engine.checkpoint import checkpoint_folders

    found = checkpoint_folders(exp / "generator" / "checkpoints")
    return sorted((int(folder.name.split("-")[1]), folder) for folder in found)


def waiting(exp: Path, measured: Collection[int], every: int, misses: dict[str, int]) -> list[tuple[int, Path]]:
    """What is to be measured: each step that is a multiple of ``every``, and the last one of a training that ended,
    by its checkpoint, or by the final weights where that is gone or cannot be read."""
    last = last_step(exp)
    found = [(step, folder) for step, folder in checkpoints(exp) if step % every == 0 or step == last]
    if last is not None:
        found.append((last, exp / "generator" / "final"))
    return [(step, one) for step, one in found if step not in measured and misses.get(one.name, 0) < PATIENCE]


def look(judge: Judge, curve: "Curve", every: int, misses: dict[str, int]) -> int:
    """Measure the checkpoints that have no row yet, the oldest first; returns how many got one."""
    done = 0
    while left := waiting(judge.exp, curve.steps, every, misses):
        step, folder = left[0]
        started = time.perf_counter()
        for note in curve.admit(judge.facts()):
            say(f"step {step}: {note}")
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
            f"{100 * row['own_first']:.0f} % (before any other prompt {100 * row['own_prompt_first']:.0f} %), leak "
            f"{100 * row['leak']:.0f} %, length off {100 * row['duration_error']:.1f} %, copies' mel L1 "
            f"{row['copy_mel_l1']:.3f}; measured in {time.perf_counter() - started:.0f} s"
        )
    return done


def is_finished(exp: Path, measured: Collection[int], every: int, misses: dict[str, int]) -> bool:
    """Whether the training has ended, and everything has a row or was given up."""
    return last_step(exp) is not None and not waiting(exp, measured, every, misses)


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
    parser.add_argument("--sampler", nargs="*", default=[], metavar="NAME=VALUE", help="over the configured one")
    parser.add_argument("--sampler_config", type=Path, help="synthesize.yaml; left out: EXP/conf/synthesize.yaml")
    parser.add_argument("--every", type=int, default=1, help="only steps that are a multiple of this, and the last")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--watch", action="store_true", help="wait for further checkpoints")
    parser.add_argument("--poll_seconds", type=float, default=30.0)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    import torch

    from resgen_tts.evaluation.reports.validation_curve import Curve

    torch.set_num_threads(options.threads)
    try:
        judge = Judge(options)
        curve = Curve(options.output, judge.settings())
        speakers = len({task.speaker for task in judge.tasks})
        say(f"{len(judge.tasks)} items of {speakers} speakers, {judge.recognizer.name}")
        misses: dict[str, int] = {}
        while True:
            done = look(judge, curve, max(1, options.every), misses)
            if not options.watch or is_finished(options.exp, curve.steps, max(1, options.every), misses):
                break
            if not done:
                time.sleep(options.poll_seconds)
        if (last := last_step(options.exp)) is not None and last not in curve.steps:
            say(f"the last step, {last}, has no row: its weights cannot be read")
        say(f"{options.output / 'curve.png'}: {len(curve.rows)} checkpoints")
    except ResGenError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
