"""Long texts: memory, pace, seams, voice and speed of a model, under both contexts.

    python tools/bench/long_text.py --model exp/mini/model --ref-audio me.wav --ref-text "What I say." --json out.json

For each context ("reference": every chunk is led by the reference; "previous": by the reference and the chunk before):
* peak memory while the stream is consumed (Linux; of a process of its own), for a short and a long text;
* words per second of each chunk's speech, and how far they are from the first chunk's;
* seam energy: the largest step of the frame level (10 ms, dB) within 50 ms of a seam, beside such steps elsewhere;
* similarity of each chunk's voice to the reference (Resemblyzer);
* real-time factor, and seconds until the first chunk.
"""

import argparse
import json
import multiprocessing
import re
import tempfile
import time
from pathlib import Path

import numpy as np

TEXT = """The harbour was quiet when the first boats came home. Nobody spoke about the storm; they tied the ropes, and
walked up the hill in the rain. At the top of the street there is a small shop that sells bread, oil and lamps. Its
owner had been awake since four in the morning, and she was glad to see them.

"Come in," she said, "and close the door behind you." They drank hot tea at the counter while the windows grew pale.
One of the men told a story that all of them knew. It was about a ship that had left in spring, with nine people and
a dog, and came back in autumn with a cargo of oranges. Some laughed, some looked out at the water. Later the children
went to school, the post arrived, and the town began its ordinary day. """


def text_of(num_words: int) -> str:
    """The passage, repeated up to so many words."""
    words = len(TEXT.split())
    whole = (TEXT + "\n\n") * (num_words // words + 1)
    ends = [match.end() for match in re.finditer(r"\S+", whole)]
    return whole[: ends[num_words - 1]]


def main() -> None:
    options = _parser().parse_args()
    rows = []
    for context in options.contexts:
        for num_words in options.words:
            with multiprocessing.get_context("spawn").Pool(1) as pool:  # memory is that of one run
                rows.append(pool.apply(measure, (vars(options), context, num_words)))
            print(_line(rows[-1]), flush=True)  # noqa: T201
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(options: dict, context: str, num_words: int) -> dict:
    """One run: speak the text as a stream, keep only what is told."""
    import torch

    from resgen_tts.apps.speaking.tts import TTS
    from resgen_tts.speech.long_text import LongTextConfig

    torch.set_num_threads(options["threads"])
    tts = TTS.from_pretrained(options["model"])
    voice = tts.voice(options["ref_audio"], options["ref_text"])
    config = LongTextConfig(context=context, batch_size=options["batch_size"], first_characters=options["first"])
    text = text_of(num_words)
    list(tts.stream(text_of(20), voice=voice, seed=0, steps=options["steps"]))  # what libraries set up once
    reset_peak()
    before = resident_bytes("VmRSS")
    levels, ends, rows, started, first_audio, given = [], [], [], time.perf_counter(), None, 0
    left = np.zeros(0, np.float32)
    prints = Prints(tts, voice) if options["similarity"] else None
    scoring = 0.0
    for chunk in tts.stream(text, voice=voice, seed=0, steps=options["steps"], long_text=config):
        first_audio = first_audio or time.perf_counter() - started
        size = tts.sample_rate // 100
        left = np.concatenate([left, chunk.audio])
        whole = len(left) // size * size
        levels.append(10 * np.log10(np.square(left[:whole].reshape(-1, size)).mean(1) + 1e-10))
        left = left[whole:]
        given += len(chunk.audio)
        ends.append(given / size)
        mark = time.perf_counter()
        rows.append(_pace(tts, chunk) | ({} if prints is None else {"similarity": prints.similarity(chunk.audio)}))
        scoring += time.perf_counter() - mark
    spent = time.perf_counter() - started - scoring
    jumps = seam_jumps(np.concatenate(levels), ends[:-1])
    paces = [row["words_per_second"] for row in rows if row["words"] >= 5]
    return {
        "context": context,
        "words": num_words,
        "chunks": len(rows),
        "seconds": given / tts.sample_rate,
        "real_time_factor": spent * tts.sample_rate / given,
        "first_audio_seconds": first_audio,
        "peak_mebibytes": (resident_bytes("VmHWM") - before) / 2**20,
        "words_per_second": {"first": paces[0], "least": min(paces), "most": max(paces)},
        "chunks_within_20_percent": float(np.mean([abs(pace / paces[0] - 1) <= 0.2 for pace in paces])),
        "chunks_within_20_percent_of_median": float(
            np.mean([abs(pace / np.median(paces) - 1) <= 0.2 for pace in paces])
        ),
        "seam_jump_db": jumps,
        "similarity": _spread([row["similarity"] for row in rows if row.get("similarity")]),
        "per_chunk": rows,
    }


class Prints:
    """Voice prints of chunks beside that of the reference as the tokenizer gives it back."""

    def __init__(self, tts, voice):
        from resgen_tts.evaluation.judges.resemblyzer_speaker import Resemblyzer

        self.encoder, self.sample_rate = Resemblyzer(), tts.sample_rate
        self.own = self._print(tts.synthesizer.decode(voice.codes))

    def similarity(self, wave: np.ndarray) -> float | None:
        """Cosine with the reference; nothing for less than 2 s, which say little."""
        if len(wave) < 2 * self.sample_rate:
            return None
        found = self._print(wave)
        return float(found @ self.own / max(1e-9, np.linalg.norm(found) * np.linalg.norm(self.own)))

    def _print(self, wave: np.ndarray) -> np.ndarray:
        from resgen_tts.speech.audio.save import save_wav

        with tempfile.TemporaryDirectory() as folder:
            save_wav(Path(folder) / "a.wav", wave, self.sample_rate)
            return self.encoder.embed(Path(folder) / "a.wav")


def seam_jumps(levels: np.ndarray, ends: list[float]) -> dict[str, float]:
    """Steps of the level from frame to frame: medians and 95th percentiles at seams and elsewhere, in dB."""
    steps = np.abs(np.diff(levels))
    is_seam = np.zeros(len(steps), bool)
    for end in ends:
        is_seam[max(0, int(end) - 5) : int(end) + 5] = True
    if not is_seam.any():
        return {}
    at_seams = [float(steps[max(0, int(end) - 5) : int(end) + 5].max()) for end in ends]
    size = 10 * (len(steps) // 10)
    elsewhere = np.where(is_seam, 0, steps)[:size].reshape(-1, 10).max(1)
    return {
        "seams_median": float(np.median(at_seams)),
        "seams_p95": float(np.percentile(at_seams, 95)),
        "elsewhere_median": float(np.median(elsewhere[elsewhere > 0])),
        "elsewhere_p95": float(np.percentile(elsewhere[elsewhere > 0], 95)),
    }


def _pace(tts, chunk) -> dict:
    """Words per second of what lies between the end silences."""
    words = len(chunk.text.split())
    seconds = chunk.seconds
    if chunk.durations is not None:
        seconds = int(chunk.durations[1:-1].sum()) * tts.synthesizer.rates.mel_hop_samples / tts.sample_rate
    return {"text": chunk.text[:40], "words": words, "seconds": seconds, "words_per_second": words / seconds}


def reset_peak() -> None:
    """Let the peak of resident memory start again from here (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def resident_bytes(name: str) -> int:
    """A figure of /proc/self/status."""
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)[1])


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "least": min(values)} if values else {}


def _line(row: dict) -> str:
    jumps, same = row["seam_jump_db"], row["similarity"]
    return (
        f"{row['context']:9} {row['words']:5} words {row['chunks']:4} chunks {row['seconds']:7.1f} s  "
        f"RTF {row['real_time_factor']:.3f}  first {row['first_audio_seconds']:.2f} s  "
        f"+{row['peak_mebibytes']:.0f} MiB  within 20 % {100 * row['chunks_within_20_percent']:.0f} %  "
        f"seam step {jumps.get('seams_p95', 0):.1f} dB (elsewhere {jumps.get('elsewhere_p95', 0):.1f})  "
        + (f"similarity {same['mean']:.3f} (least {same['least']:.3f})" if same else "")
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="exported model")
    parser.add_argument("--ref-audio", type=Path, required=True)
    parser.add_argument("--ref-text", help="left out, it is transcribed")
    parser.add_argument("--words", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--contexts", nargs="+", choices=("reference", "previous"), default=["reference", "previous"])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--first", type=int, help="characters of a shorter first chunk")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-similarity", dest="similarity", action="store_false", help="leave out Resemblyzer")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()
