"""Sound samples and mel pictures of a model, small enough to be kept with its recipe: prompts and what came of them.

    python tools/make_samples.py --model egs/studio/exp/base/model --list voices.tsv --output egs/studio/samples \\
        --readme README.md

A list is a tab-separated table with the columns audio (or file; relative to the table), text (what is said there) and,
where wanted, name (or id, or speaker), target (what is to be said), source, licence, about: the table of `export
--voices` and that of `tools/bench/robustness.py` will do. `--data DIR` takes one evaluation pair of each speaker of
prepared data. A LICENSES.md beside a list goes with the samples. Each item is spoken once, with the one seed: what is
shown is the first take, not the best.
"""

import argparse
import csv
import io
import re
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from resgen_tts.apps.weights.export_voices import NOTICES
from resgen_tts.common.errors import ConfigError, DataError, ResGenError
from resgen_tts.common.run_dir import commit_hash, hardware_line, staged_folder, write_bytes, write_text

if TYPE_CHECKING:
    from resgen_tts.apps.speaking.tts import TTS

SOUND_BYTES, PICTURE_BYTES = 100_000, 80_000  # a repository keeps every version of them for ever
PICTURE_COLOURS = 64
VORBIS_EFFORT = 0.6  # libsndfile's compression level: 0 is the largest file, 1 the smallest
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
SENTENCES = (
    "The morning train leaves at half past seven, so please do not be late.",
    "Nobody in the village could remember such a quiet winter.",
    "She opened the old wooden box and found a letter inside.",
    "We walked along the river until the lights of the town came on.",
)
README_BEGIN, README_END = "<!-- samples: written by tools/make_samples.py -->", "<!-- end of samples -->"


@dataclass(frozen=True, kw_only=True)
class Item:
    """A voice to speak in, what is said in its recording, and what is to be said."""

    name: str
    audio: Path
    text: str
    target: str
    source: str
    licence: str
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was written for an item."""

    item: Item
    prompt: str
    output: str
    picture: str
    prompt_seconds: float
    seconds: float
    real_time_factor: float
    warnings: tuple[str, ...] = ()


def read_list(table: Path, sentences: Sequence[str], source: str = "", licence: str = "") -> list[Item]:
    """Items of a tab-separated table; the sentences, in turn, where a row has no target.

    Raises:
        DataError: a cell is missing, a name is not plain, or nobody said under which licence a recording is.
    """
    if not table.is_file():
        raise DataError(f"{table} does not exist.", code="FILE_MISSING")
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    items = []
    for number, row in enumerate(rows):
        where = f"{table.name}:{number + 2}"
        cells = {column: (cell or "").strip() for column, cell in row.items() if isinstance(column, str)}
        audio = cells.get("audio") or cells.get("file") or ""
        if not audio or not cells.get("text"):
            raise DataError(f"{where}: nothing in audio (or file), or in text.")
        items.append(
            _item(
                where,
                name=cells.get("name") or cells.get("id") or cells.get("speaker") or Path(audio).stem,
                audio=table.parent / audio,
                text=cells["text"],
                target=cells.get("target") or sentences[number % len(sentences)],
                source=cells.get("source") or source,
                licence=cells.get("licence") or licence,
                about=cells.get("about", ""),
            )
        )
    return items


def read_pairs(data: Path, source: str, licence: str) -> list[Item]:
    """One evaluation pair of each speaker of prepared data, under the speaker's name.

    Raises:
        DataError: the data cannot be read, or source and licence are missing.
    """
    from resgen_tts.evaluation.protocols.pairs import read_items

    first = {}
    for item in read_items(data):
        first.setdefault(item.speaker, item)
    return [
        _item(
            str(data), name=speaker, audio=item.prompt_audio, text=item.prompt_text, target=item.text, source=source,
            licence=licence,
        )
        for speaker, item in first.items()
    ]  # fmt: skip


def _item(where: str, **cells: object) -> Item:
    item = Item(**cells)
    if not NAME.fullmatch(item.name):
        raise DataError(f"{where}: {item.name!r} cannot name files; use 1 to 64 of A-Z a-z 0-9 - _.")
    if not item.source or not item.licence:
        raise DataError(
            f"{where}: source or licence of {item.name}'s recording is missing; it is passed on with the samples.",
            hint="Fill the columns source and licence, or pass --source and --licence.",
        )
    return item


def make_sample(tts: "TTS", item: Item, folder: Path, seed: int) -> Sample:
    """Speak an item and write prompt, output and picture.

    Raises:
        DataError: SAMPLE_TOO_LARGE.
    """
    from resgen_tts.evaluation.waves import read_wave

    started = time.perf_counter()
    spoken = tts(item.target, voice=tts.voice(item.audio, item.text), seed=seed)
    spent = time.perf_counter() - started
    prompt = read_wave(item.audio, sample_rate=tts.sample_rate)
    say_so = f"Synthetic speech, made by resgen_tts with seed {seed}"
    return Sample(
        item=item,
        prompt=write_sound(folder / f"{item.name}_prompt", prompt, tts.sample_rate, comment=item.source),
        output=write_sound(folder / f"{item.name}_output", spoken.audio, tts.sample_rate, comment=say_so),
        picture=write_picture(folder / f"{item.name}.png", prompt, spoken.audio, tts.sample_rate),
        prompt_seconds=len(prompt) / tts.sample_rate,
        seconds=spoken.seconds,
        real_time_factor=spent / spoken.seconds,
        warnings=tuple(spoken.warnings),
    )


def write_sound(stem: Path, wave: Float[np.ndarray, "N"], sample_rate: int, *, comment: str) -> str:
    """Write FLAC, or Vorbis where FLAC would be too large; returns the file's name, whose ending tells which.

    Raises:
        DataError: SAMPLE_TOO_LARGE, both are.
    """
    import soundfile

    kinds = (("flac", {"subtype": "PCM_16"}), ("ogg", {"subtype": "VORBIS", "compression_level": VORBIS_EFFORT}))
    for suffix, options in kinds:
        buffer = io.BytesIO()
        with soundfile.SoundFile(buffer, "w", sample_rate, 1, format=suffix.upper(), **options) as file:
            file.comment = comment
            file.write(np.clip(wave, -1.0, 1.0))
        path = stem.with_name(f"{stem.name}.{suffix}")
        if len(buffer.getvalue()) < SOUND_BYTES:
            write_bytes(path, buffer.getvalue())
            return path.name
    raise DataError(
        f"{path.name} of {len(wave) / sample_rate:.1f} s would have {len(buffer.getvalue())} bytes, {SOUND_BYTES} are "
        "allowed.",
        code="SAMPLE_TOO_LARGE",
        hint="Take a shorter prompt or sentence.",
    )


def write_picture(path: Path, prompt: Float[np.ndarray, "N"], output: Float[np.ndarray, "M"], sample_rate: int) -> str:
    """Draw the log-mel of the prompt above that of the output, in few colours; returns the file's name.

    Raises:
        DataError: SAMPLE_TOO_LARGE.
    """
    import soxr
    from PIL import Image

    from resgen_tts.evaluation.reports.pictures import draw_mels
    from resgen_tts.evaluation.waves import SCORING_RATE

    waves = {"prompt": prompt, "output": output}
    if sample_rate != SCORING_RATE:
        waves = {name: soxr.resample(wave, sample_rate, SCORING_RATE) for name, wave in waves.items()}
    draw_mels(path, waves, path.stem)
    buffer = io.BytesIO()
    with Image.open(path) as picture:  # a mel needs no 16 million colours, and they cost three times the bytes
        few = picture.convert("RGB").quantize(PICTURE_COLOURS, method=Image.Quantize.MEDIANCUT)
        few.save(buffer, format="png", optimize=True)
    if len(buffer.getvalue()) >= PICTURE_BYTES:
        raise DataError(
            f"{path.name} would have {len(buffer.getvalue())} bytes, {PICTURE_BYTES} are allowed.",
            code="SAMPLE_TOO_LARGE",
            hint="Take a shorter prompt or sentence.",
        )
    write_bytes(path, buffer.getvalue())
    return path.name


def index(samples: Sequence[Sample], facts: str, *, notices: bool = False) -> str:
    """The page that leads to all files, and to the notices where there are any."""
    lines = [
        "# Samples",
        "",
        "Prompt: the recording that lends the voice. Output: what the model says in it, synthetic speech. Nothing was "
        "picked: each is the first take, all with one seed.",
        "",
        "| voice | prompt | output | seconds | real-time factor | prompt from |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in samples:
        item = one.item
        about = f"{item.name}<br>{_cell(item.about)}" if item.about else item.name
        lines.append(
            f"| {about} | [{_cell(item.text)}]({one.prompt}) | [{_cell(item.target)}]({one.output}) "
            f"| {one.prompt_seconds:.1f} → {one.seconds:.1f} | {one.real_time_factor:.2f} "
            f"| {_cell(item.source)}; {_cell(item.licence)} |"
        )
    lines += [
        "",
        *(f"![{one.item.name}: mel of the prompt above that of the output]({one.picture})" for one in samples),
    ]
    if notices:
        lines += ["", f"The notices that go with the prompts: [{NOTICES}]({NOTICES})."]
    warned = [f"* {one.item.name}: {_cell(note)}" for one in samples for note in one.warnings]
    if warned:
        lines += ["", "What the synthesizer warned of:", "", *warned]
    return "\n".join([*lines, "", facts, ""])


def readme_table(samples: Sequence[Sample], folder: str) -> str:
    """The part of a README that shows samples.

    Args:
        folder: of the samples, from the README's own.
    """
    lines = ["| voice | prompt | output | mel, prompt above output |", "| --- | --- | --- | --- |"]
    for one in samples:
        name, said = one.item.name, _cell(one.item.target)
        picture = f"![mel of prompt and output of {name}]({folder}/{one.picture})"
        lines.append(f"| {name} | [listen]({folder}/{one.prompt}) | [“{said}”]({folder}/{one.output}) | {picture} |")
    return "\n".join(lines)


def place_of(folder: Path, readme: Path) -> str:
    """Where a README's links find the folder.

    Raises:
        ConfigError: the folder is not below the README's, so that no link would stay right.
        DataError: the README has no place for samples.
    """
    home = readme.resolve().parent
    if not readme.is_file() or not folder.resolve().is_relative_to(home):
        raise ConfigError(f"{readme} is not there, or {folder} does not lie below its folder.", code="USAGE")
    around_marks(readme)  # where the table cannot go in, nothing needs to be spoken
    return folder.resolve().relative_to(home).as_posix()


def around_marks(readme: Path) -> tuple[str, str]:
    """What lies before and behind the samples of a README, with the marks.

    Raises:
        DataError: the marks are not there, once each and in order.
    """
    text = readme.read_text(encoding="utf-8")
    before, first, rest = text.partition(README_BEGIN)
    _, last, after = rest.partition(README_END)
    if not first or not last or README_BEGIN in rest or README_END in after:
        raise DataError(f"{readme.name} does not have the lines {README_BEGIN} and {README_END}, once each.")
    return before + first, last + after


def put_into_readme(readme: Path, table: str) -> None:
    """Replace what lies between the two marks of a README.

    Raises:
        DataError: as `around_marks`.
    """
    before, after = around_marks(readme)
    write_text(readme, f"{before}\n\n{table}\n\n{after}")


def write_notices(tables: Sequence[Path], folder: Path) -> bool:
    """Write what the notices beside the tables say, one after another; False where there are none."""
    files = [table.parent / NOTICES for table in tables]
    texts = list(dict.fromkeys(file.read_text(encoding="utf-8").strip() for file in files if file.is_file()))
    if texts:
        write_text(folder / NOTICES, "\n\n".join(texts) + "\n")
    return bool(texts)


def _cell(text: str) -> str:
    """Text that breaks no table and no link."""
    return re.sub(r"([|\[\]<])", r"\\\1", " ".join(text.split()))


def _facts(options: argparse.Namespace, tts: "TTS") -> str:
    """Where the samples come from, without the places of files on this machine."""
    words = [f"--seed {options.seed}", *(f"--say {shlex.quote(one)}" for one in options.say or ())]
    return (
        f"Made by `tools/make_samples.py {' '.join(words)}` at commit {commit_hash()} on {hardware_line()}; "
        f"{tts.sampler.steps} steps, {tts.sample_rate} Hz."
    )


def make_samples(options: argparse.Namespace) -> list[Sample]:
    """Speak all items and write the folder, whole or not at all."""
    from resgen_tts.apps.speaking.tts import TTS

    if options.output.exists() and not options.force:
        raise ConfigError(f"{options.output} exists.", code="OUTPUT_EXISTS", hint="Pass --force to replace it.")
    place = "" if options.readme is None else place_of(options.output, options.readme)
    sentences = options.say or SENTENCES
    items: list[Item] = []
    for table in options.list or ():  # the next table goes on with the next sentence
        turned = [sentences[(len(items) + turn) % len(sentences)] for turn in range(len(sentences))]
        items += read_list(table, turned, options.source, options.licence)
    if options.data is not None:
        items += read_pairs(options.data, options.source, options.licence)
    items = items[: options.items]
    if not items:
        raise ConfigError("there is nothing to speak.", code="USAGE", hint="Pass --list TABLE or --data DIR.")
    twice = {one.name for one in items if [other.name for other in items].count(one.name) > 1}
    if twice:
        raise DataError(f"names that stand for two items: {', '.join(sorted(twice))}.")
    tts = TTS.from_pretrained(options.model)
    # The first call of all also loads what later ones find loaded; it would count against the first sample.
    tts("One.", voice=tts.voice(items[0].audio, items[0].text), seed=0)
    samples = []
    with staged_folder(options.output) as folder:
        for item in items:
            samples.append(make_sample(tts, item, folder, options.seed))
            one = samples[-1]
            _say(f"{one.prompt}, {one.output}: {one.seconds:.1f} s, real-time factor {one.real_time_factor:.2f}")
        notices = write_notices(options.list or (), folder)
        write_text(folder / "index.md", index(samples, _facts(options, tts), notices=notices))
    if options.readme is not None:
        put_into_readme(options.readme, readme_table(samples[: options.readme_items], place))
    return samples


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="mini", help="a folder that the stage export wrote; default: the bundled one"
    )
    parser.add_argument("--list", type=Path, action="append", help="table of items; may be given several times")
    parser.add_argument("--data", type=Path, help="prepared data: one evaluation pair of each speaker")
    parser.add_argument("--say", action="append", help="a sentence for rows without a target; several take turns")
    parser.add_argument("--source", default="", help="where recordings come from whose rows do not say so")
    parser.add_argument("--licence", default="", help="of the same recordings")
    parser.add_argument("--items", type=int, default=8, help="the first so many; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--force", action="store_true", help="replace the folder as a whole")
    parser.add_argument(
        "--readme", type=Path, help="README above the folder, to show the first samples between its marks"
    )
    parser.add_argument("--readme-items", type=int, default=3, help="how many of them; default: %(default)s")
    try:
        make_samples(parser.parse_args(arguments))
    except ResGenError as error:
        _say(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
