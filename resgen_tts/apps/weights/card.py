"""The card of an exported model: its README, which also is its page where a hub shows it."""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from resgen_tts.apps.weights.bundled import NOTICES, VOICES
from resgen_tts.common.errors import ConfigError

SAMPLE_TEXT = "The captain waited this morning."
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")  # as hubs spell them
_VOICE_COLUMNS = ("name", "about", "seconds", "text", "source", "licence")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model's card says.

    Args:
        facts: model.json: name, commit, precision.
        sizes: ``{part: {"parameters": count, "bytes": count}}``, the sum under "total".
        sample_rate: Hz.
        sha256: hash of the model.
        licence: of the weights, as hubs spell it; "" where nobody stated one.
        voices: rows of the model's table of voices.
        has_notices: whether the notices of the voices' recordings go with them.
        about: Markdown of the model's maker: data, attributions, known failures.
        measured: Markdown report.
    """

    facts: dict[str, Any]
    sizes: dict[str, dict[str, int]]
    sample_rate: int
    sha256: str
    licence: str = ""
    voices: list[dict[str, Any]] = field(default_factory=list)
    has_notices: bool = False
    about: str = ""
    measured: str = ""

    def to_markdown(self) -> str:
        """The whole card, with the lines ahead of it that a hub reads."""
        precision = "half precision (float16 weights)" if self.facts["precision"] == "half" else "full precision"
        said = [
            f"---\n{yaml.safe_dump(self._front_matter(), sort_keys=False, allow_unicode=True)}---",
            f"# {self.facts['name']}",
            f"A ResGen text-to-speech system (arXiv:2412.10208), made by resgen_tts at commit {self.facts['commit']}.",
            "\n".join(["| part | size | on disk |", "|---|---|---|", *self._size_rows()]),
            f"Weights in {precision}. It speaks English at {self.sample_rate} Hz, in the voice of a reference. "
            "Use it with voices whose owners agree, and say that the speech is synthetic.",
            self._how_to_speak(),
            _INTENDED_USE,
            _LIMITS,
        ]
        if self.voices:
            table = [f"| {' | '.join(_VOICE_COLUMNS)} |", "|---" * len(_VOICE_COLUMNS) + "|"]
            table += [f"| {' | '.join(_cell(voice[name]) for name in _VOICE_COLUMNS)} |" for voice in self.voices]
            said += ["## Voices", "The first one speaks where none is asked for.", "\n".join(table)]
        if self.has_notices:
            said.append(f"The notices of these recordings: [{VOICES}/{NOTICES}]({VOICES}/{NOTICES}).")
        said += [self.about.strip()] if self.about else []
        return "\n\n".join([*said, "## Measured", self.measured or "No report was given.\n"])

    def _front_matter(self) -> dict[str, Any]:
        licence = {"license": self.licence} if self.licence else {"license": "other", "license_name": "not-stated"}
        return {
            **licence,
            "language": ["en"],
            "library_name": "resgen_tts",
            "pipeline_tag": "text-to-speech",
            "tags": ["text-to-speech", "voice-cloning", "masked-generation", "arxiv:2412.10208"],
        }

    def _size_rows(self) -> list[str]:
        rows = [f"| {what} | {' | '.join(said_size(size).split(', '))} |" for what, size in self.sizes.items()]
        if "vocoder" not in self.sizes:
            rows.insert(1, "| vocoder | Griffin-Lim, not trained | |")
        return rows

    def _how_to_speak(self) -> str:
        line, call = "", ""
        if not self.voices:
            line = ' --ref-audio me.wav --ref-text "What is said in me.wav."'
            call = 'voice=tts.voice("me.wav", text="What is said in me.wav."), '
        return _HOW_TO_SPEAK.format(text=SAMPLE_TEXT, line=line, call=call, sha256=self.sha256)


_HOW_TO_SPEAK = """## How to speak with it

In the folder of this card, by the command line or in Python:

```bash
resgen-tts synth --model . --text "{text}"{line} --seed 1 --output hello.wav
```

```python
from resgen_tts import TTS

tts = TTS.from_pretrained(".")
out = tts("{text}", {call}seed=1)
out.save("hello_too.wav")
```

From elsewhere the folder is named in place of the dot; where a hub has it, `owner/name`, and `owner/name@COMMIT` for
this very one. Its hash is `{sha256}`;
`TTS.from_pretrained(..., sha256=...)` takes no other."""

_INTENDED_USE = """## Intended use

Research on speech synthesis, and speech in voices whose owners agreed to it, or in those that come with the model:
reading aloud, prototypes, teaching. Not for speaking as somebody who did not agree, for passing as a human being where
that deceives, for getting past voice checks, or where a misread word does harm. What resgen_tts gives out is
watermarked, unless that was turned off, and says in its header that it is synthetic; both can be
removed by whoever means to."""

_LIMITS = """## Limits

English alone. A reference needs at least 1 s; 3 to 12 s of one voice without noise or music work best, and how near
the copy comes differs from voice to voice. Long texts are spoken in chunks. Names and rare words may be said wrong, and
words can be left out or said twice: listen before you publish."""


def said_size(size: dict[str, int]) -> str:
    """Values and bytes of a part, for a reader."""
    return f"{size['parameters'] / 1e6:.2f} M values, {size['bytes'] / 1e6:.2f} MB"


def check_licence(licence: str) -> None:
    """Refuse a licence that no hub would know.

    Raises:
        ConfigError: it is not spelled as hubs spell theirs.
    """
    if licence and not _LICENCE.fullmatch(licence):
        raise ConfigError(
            f"the licence {licence!r} is not spelled as hubs do.", hint="Write e.g. apache-2.0, cc-by-4.0 or other."
        )


def _cell(value: object) -> str:
    return str(value).replace("|", "/")
