"""What a look at one thing found."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from resgen_tts.common.errors import ResGenError

OK, NOTE, MISSING = "ok", "note", "missing"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a look at one thing found.

    Attributes:
        name: of the thing.
        status: "ok"; "note", it can be done without, or is worth knowing; "missing", speaking needs it.
        told: the same in a line, for whoever runs it here.
        mend: what to do, where there is something.
        facts: versions, sizes, counts and codes alone, so that they can be given away: no text of anybody's, no path,
            no name of a file, of a user or of a machine, no value of the environment.
    """

    name: str
    status: str
    told: str
    mend: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return dataclasses.asdict(self)

    def to_report(self) -> dict[str, Any]:
        """What can be given away."""
        return {"name": self.name, "status": self.status, "facts": self.facts}


def looked_at(name: str, look: Callable[[], Finding], *, is_needed: bool = True) -> Finding:
    """What a look found, or that it failed, with the error's own word on what to do."""
    status = MISSING if is_needed else NOTE
    try:
        return look()
    except ResGenError as error:
        return Finding(
            name=name, status=status, told=f"{error.code}: {error.message}", mend=error.hint, facts={"code": error.code}
        )
    except Exception as error:  # a broken library raises anything; a doctor that dies of it helps nobody
        return Finding(
            name=name, status=status, told=f"{type(error).__name__}: {error}",
            mend="Install the package and what it needs again.", facts={"error": type(error).__name__},
        )  # fmt: skip
