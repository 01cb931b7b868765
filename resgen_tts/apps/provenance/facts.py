"""What is written into a file of speech about where it comes from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

SYNTHETIC = "synthetic_speech"  # the key by which a comment is known as ours
MAX_COMMENT_CHARACTERS = 4096  # a comment of ours has some 400
MAX_FIELD_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Who spoke a wave, and how it can be spoken again.

    Args:
        tool: name of the software.
        version: of the software.
        model: name of the model.
        model_sha256: of the model's files, 64 hexadecimal digits.
        seed: of the request; the same one gives the same wave again.
        reference_sha256: of the reference that the voice was taken from; "" where there was none.
        watermark: name of the watermark that is in the wave; "none" where it was turned off.
        device: that it was computed on.
    """

    tool: str
    version: str
    model: str
    model_sha256: str
    seed: int
    reference_sha256: str
    watermark: str
    device: str

    def to_json(self) -> dict[str, Any]:
        """The facts with ``"synthetic_speech": true`` ahead of them."""
        return {SYNTHETIC: True, **asdict(self)}

    def tags(self) -> dict[str, str]:
        """For a file's header: ``software`` and, as one line of JSON, ``comment``."""
        return {"software": f"{self.tool} {self.version}", "comment": json.dumps(self.to_json())}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Provenance | None":
        """The facts of a file's header; None where it holds none of ours, or holds them damaged.

        A header is a stranger's text: whatever is too long, of another kind or would not print is refused.
        """
        comment = tags.get("comment", "")
        if len(comment) > MAX_COMMENT_CHARACTERS:
            return None
        try:
            told = json.loads(comment)
        except (ValueError, RecursionError):
            return None
        if not isinstance(told, dict) or told.get(SYNTHETIC) is not True:
            return None
        facts = {field.name: told.get(field.name) for field in fields(cls)}
        seed = facts.pop("seed")
        if type(seed) is not int or not all(map(_is_plain, facts.values())):
            return None
        return cls(seed=seed, **facts)


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= MAX_FIELD_CHARACTERS
