"""``batch``: all texts of a list, each into a file of its own, several of them in one call of the generator."""

import argparse
import contextlib
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resgen_tts.apps.options import (
    Parser,
    add_format,
    add_manner,
    add_model,
    add_talk,
    add_voice,
    add_watermark,
    check_ranges,
    check_voice,
)
from resgen_tts.apps.speaking.batch_list import read_batch
from resgen_tts.apps.speaking.batch_results import FAILED, RESULTS, SPOKEN, BatchResults, held
from resgen_tts.apps.speaking.from_options import choose_voice, find_model, load_tts, make_voice, manner
from resgen_tts.apps.speaking.synth_options import check_folder, check_format
from resgen_tts.common.errors import ConfigError, DataError, ResGenError
from resgen_tts.common.run_dir import sha256_file

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.batch_items import BatchItem, VoiceSource
    from resgen_tts.apps.speaking.tts import TTS
    from resgen_tts.speech.prompt import Voice
    from resgen_tts.speech.result import SpeechChunk

ABOUT = "Speak all texts of a list, each into a file."
_LETTERS_PER_SECOND = 15.0  # of English speech, about
MAX_VOICES = 64  # kept at a time, so that a list of a thousand references needs no thousand in memory


def batch(arguments: list[str]) -> None:
    """Speak all texts of a list, each into a file.

    Raises:
        DataError: BATCH_FAILED, rows could not be spoken, the others were; or the list is none.
        ConfigError: OUTPUT_EXISTS, STALE_OUTPUT, OUTPUT_BUSY, OUTPUT_NOT_A_FOLDER, OUTPUT_FOLDER_MISSING,
            OUTPUT_NOT_WRITABLE, OUTPUT_FORMAT, USAGE.
        ResGenError: what ``synth`` raises of model, device and watermark.
    """
    options = parser().parse_args(arguments)
    check_voice(options)
    check_ranges(options)
    from resgen_tts.apps.speaking.asked import seed_or_drawn
    from resgen_tts.apps.speaking.batch_items import ItemMaker
    from resgen_tts.speech.audio.encode import FORMATS, format_for
    from resgen_tts.speech.audio.load import check_recording

    if options.ref_audio is not None:
        check_recording(options.ref_audio)
    options.format = check_format(format_for(None, options.format))
    rows = read_batch(options.list)
    model = find_model(options)
    if any(row.voice is None and row.ref_audio is None for row in rows):
        choose_voice(options, model)
    seed = seed_or_drawn(options.seed)
    maker = ItemMaker(options, model, manner(options), seed)
    items = [maker.item(row, FORMATS[options.format].suffixes[0]) for row in rows]
    _make_folder(options.output)
    with held(options.output):
        facts = _speak_list(items, model, seed, options)
    if not options.quiet:
        print(_closing_line(facts), file=sys.stderr)
    if options.json:
        print(json.dumps(facts, ensure_ascii=False))
    if facts["failed"]:
        raise DataError(
            f"{facts['failed']} of {facts['rows']} rows could not be spoken; {options.output / RESULTS} says why.",
            code="BATCH_FAILED",
            hint="Mend them in the list, and call it again with --resume.",
        )


def parser() -> Parser:
    """All options of the verb."""
    known = Parser(prog="resgen-tts batch", description=ABOUT)
    known.add_argument(
        "list", type=Path, metavar="LIST",
        help="a .tsv whose first line names its columns, or a .jsonl: text and, where wanted, id, voice or ref_audio "
        "and ref_text, seed, steps, speed or duration, spread; what a row leaves open is as the options say",
    )  # fmt: skip
    known.add_argument(
        "-o", "--output", type=Path, required=True, help=f"folder for the sound files, named by id, and {RESULTS}"
    )
    known.add_argument("--resume", action="store_true", help="speak only what is missing in the folder")
    known.add_argument("--force", action="store_true", help="speak anew what is there, or what was spoken otherwise")
    add_format(known)
    known.add_argument(
        "--batch-size", type=int, default=8,
        help="chunks of any of the texts in one call of the generator; 1 gives the same bytes as synth; "
        "default: %(default)s",
    )  # fmt: skip
    add_voice(known)
    add_manner(known)
    add_model(known)
    add_watermark(known)
    add_talk(known)
    return known


def _make_folder(output: Path) -> None:
    """Make the folder in one that is there.

    Raises:
        ConfigError: OUTPUT_NOT_A_FOLDER, OUTPUT_FOLDER_MISSING, OUTPUT_NOT_WRITABLE.
    """
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is no folder.", code="OUTPUT_NOT_A_FOLDER", hint="Name a folder.")
    if not output.exists():
        check_folder(output.absolute().parent, f"the folder of {output}")
        output.mkdir(exist_ok=True)
    check_folder(output, str(output))


def _speak_list(items: "list[BatchItem]", model: Path, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Speak what is to be spoken, and tell the facts of it.

    Raises:
        ConfigError: OUTPUT_EXISTS, STALE_OUTPUT.
    """
    from tqdm import tqdm

    if not (options.resume or options.force):
        _refuse_older(options.output, [RESULTS, *(item.file for item in items)])
    results = BatchResults(options.output, is_continued=options.resume)
    missing = [item for item in items if not _is_there(item, results, options)]
    kept = len(items) - len(missing)
    if options.resume and not options.quiet:
        print(f"{options.output}: {kept} of {len(items)} rows are there already", file=sys.stderr)
    facts: dict[str, Any] = {"output": str(options.output), "rows": len(items), "kept": kept}
    seconds = spent = 0.0
    device = None
    wrong = [(item, item.error) for item in missing if item.error is not None]
    rest = [item for item in missing if item.error is None]
    try:
        for item, error in wrong:  # before a model is loaded, which nothing may be left for
            _add_failed(item, error, results, options)
        if rest:
            tts = load_tts(options, model)
            device, started = tts.device, time.perf_counter()
            hidden = True if options.quiet else None  # None: shown on a terminal
            with tqdm(total=len(items), initial=kept + len(wrong), unit="row", disable=hidden) as bar:
                speaker = _Speaker(tts, options, results, bar)
                speaker.speak(sorted(rest, key=_likeness))
            seconds, spent = speaker.seconds, time.perf_counter() - started
    finally:
        results.finish([item.id for item in items])
    failed = [line for item in missing if (line := results.lines[item.id])["status"] == FAILED]
    return facts | {
        "spoken": len(missing) - len(failed), "failed": len(failed), "seconds": round(seconds, 3),
        "real_time_factor": round(spent / seconds, 4) if seconds else None, "seed": seed, "model": options.model,
        "device": device, "format": options.format,
        "failures": [{name: line[name] for name in ("id", "line", "code", "error")} for line in failed],
    }  # fmt: skip


def _closing_line(facts: dict[str, Any]) -> str:
    kept = f", {facts['kept']} there before" if facts["kept"] else ""
    factor = "" if facts["real_time_factor"] is None else f", real-time factor {facts['real_time_factor']:.3f}"
    return (
        f"{facts['output']}: {facts['spoken']} of {facts['rows']} rows spoken{kept}, {facts['failed']} failed; "
        f"{facts['seconds']:.2f} s{factor}, seed {facts['seed']}, model {facts['model']}"
    )


def _refuse_older(output: Path, names: list[str]) -> None:
    for name in names:
        if (output / name).exists():
            raise ConfigError(
                f"{output / name} exists.",
                code="OUTPUT_EXISTS",
                hint="Pass --resume to speak what is missing, --force to speak all anew, or name another folder.",
            )


def _is_there(item: "BatchItem", results: BatchResults, options: argparse.Namespace) -> bool:
    """Whether an item need not be spoken.

    Raises:
        ConfigError: STALE_OUTPUT, it was spoken otherwise than is asked for now.
    """
    if item.error is not None or not results.is_spoken(item.id):
        return False
    changed = item.changed(results.lines[item.id]["asked"])
    if changed and not options.force:
        raise ConfigError(
            f"{options.output / item.file} was spoken with another {', '.join(changed)}.",
            code="STALE_OUTPUT",
            hint="Pass --force, too, to speak anew what has changed, or name another folder.",
        )
    return not changed


def _likeness(item: "BatchItem") -> tuple[int, float]:
    """By which items stand beside those of the same steps and about the same length.

    Chunks of one call are filled up to the longest. 24 sentences of 0.6 to 8 s took 41 s of one CPU one by one, and
    eight at a time 26 s in this order, but 52 s mixed as they came.
    """
    length = item.how["length"]
    letters = len(item.row.text) / length.speed
    seconds = letters / _LETTERS_PER_SECOND if length.duration_seconds is None else length.duration_seconds
    return item.how["steps"] or 0, seconds


def _add(item: "BatchItem", told: dict[str, Any], results: BatchResults) -> None:
    results.add({"id": item.id, "line": item.row.line, **told, "asked": item.asked})


def _add_failed(item: "BatchItem", error: ResGenError, results: BatchResults, options: argparse.Namespace) -> None:
    """Put a row that cannot be spoken among the results, and say why."""
    from tqdm import tqdm

    tqdm.write(f"{options.list.name}:{item.row.line}: {item.id}: {error}", file=sys.stderr)
    told = {"status": FAILED, "code": error.code, "error": str(error), "seed": item.seed, "warnings": []}
    _add(item, told, results)


class _Open:
    """An item that is being spoken into its file, which appears when it is complete."""

    def __init__(self, item: "BatchItem", voice: "Voice", tts: "TTS", options: argparse.Namespace):
        from resgen_tts.speech.audio.encode import open_audio_file

        self.item, self.path = item, options.output / item.file
        request = tts.request(item.row.text, voice=voice, seed=item.seed, **item.how)
        self.narration = tts.synthesizer.open(request)
        self.provenance = tts.provenance(request)
        self.warnings = list(dict.fromkeys(request.voice.warnings))
        self._stack = contextlib.ExitStack()
        self.file = self._stack.enter_context(
            open_audio_file(self.path, options.format, tts.sample_rate, self.provenance.tags())
        )

    def take(self, chunk: "SpeechChunk") -> None:
        self.file.write(chunk.audio)
        self.warnings += [warning for warning in chunk.warnings if warning not in self.warnings]

    def finish(self) -> dict[str, Any]:
        """Let the file appear; its line among the results."""
        self._stack.close()
        self.warnings += [warning for warning in self.file.warnings if warning not in self.warnings]
        return {
            "file": self.item.file, "sha256": sha256_file(self.path), "seconds": round(self.file.seconds, 3),
            "voice": self.narration.request.voice.name, "seed": self.item.seed, "warnings": self.warnings,
            "provenance": self.provenance.to_json(),
        }  # fmt: skip

    def drop(self, error: BaseException) -> None:
        """Leave nothing of it."""
        self._stack.__exit__(type(error), error, None)


class _Speaker:
    """Speaks items, chunks of several at once.

    Attributes:
        seconds: of sound so far.
    """

    def __init__(self, tts: "TTS", options: argparse.Namespace, results: BatchResults, bar: Any):
        self.tts, self.options, self.results, self.bar = tts, options, results, bar
        self.seconds = 0.0
        self._voices: dict[VoiceSource, Voice | ResGenError] = {}
        self._open: list[_Open] = []

    def speak(self, items: "list[BatchItem]") -> None:
        """Speak all; what becomes of each is among the results as soon as it is known."""
        waiting = deque(items)
        try:
            while waiting or self._open:
                while waiting and len(self._open) < self.options.batch_size:
                    self._begin(waiting.popleft())
                if self._open:
                    self._step()
        except BaseException as error:  # also Ctrl-C: what is half written goes
            for one in self._open:
                one.drop(error)
            raise

    def _begin(self, item: "BatchItem") -> None:
        try:
            self._open.append(_Open(item, self._voice(item.voice), self.tts, self.options))
        except ResGenError as error:
            self._failed(item, error)

    def _step(self) -> None:
        """One call of the generator."""
        by_narration = {id(one.narration): one for one in self._open}
        narrations = [one.narration for one in self._open]
        for narration, chunk in self.tts.synthesizer.step(narrations, self.options.batch_size):
            one = by_narration[id(narration)]
            try:
                one.take(chunk)
            except ResGenError as error:
                narration.error = error
        for one in [one for one in self._open if one.narration.is_finished]:
            self._open.remove(one)
            self._end(one)

    def _end(self, one: _Open) -> None:
        try:
            if one.narration.error is not None:
                one.drop(one.narration.error)
                raise one.narration.error
            told = one.finish()
        except ResGenError as error:
            self._failed(one.item, error)
            return
        self.seconds += told["seconds"]
        _add(one.item, {"status": SPOKEN, **told}, self.results)
        self.bar.update()

    def _failed(self, item: "BatchItem", error: ResGenError) -> None:
        _add_failed(item, error, self.results, self.options)
        self.bar.update()

    def _voice(self, source: "VoiceSource") -> "Voice":
        """A voice, made or loaded once.

        Raises:
            ResGenError: it is refused; for every item that wants it.
        """
        made = self._voices.pop(source, None)
        if made is None:
            try:
                made = self._make(source)
            except ResGenError as error:
                made = error
            if len(self._voices) >= MAX_VOICES:
                self._voices.pop(next(iter(self._voices)))  # the one that was not wanted for longest
        self._voices[source] = made
        if isinstance(made, ResGenError):
            raise made
        return made

    def _make(self, source: "VoiceSource") -> "Voice":
        if source.file is not None:
            return self.tts.load_voice(source.file)
        assert source.audio is not None, "an item has a voice"
        made = make_voice(self.tts, source.audio, source.text, self.options)
        for warning in made.warnings:  # the transcript, too, where nobody gave one
            self.bar.write(f"warning: {source.audio}: {warning}", file=sys.stderr)
        return made
