"""What the page says about the work that goes on: one line that screen readers read out, too."""

import html
from dataclasses import dataclass

from resgen_tts.common.errors import ResGenError

STATES = ("loading", "ready", "queued", "running", "done", "cancelled", "failed")


@dataclass(frozen=True)
class Status:
    """A state and what is to be said about it.

    Args:
        state: one of :data:`STATES`.
        words: plain text; it is escaped where it is drawn.
        code: of the error, where it failed.
        share: 0 to 1 of the work that is done, where that is known.
    """

    state: str
    words: str
    code: str = ""
    share: float | None = None

    def __post_init__(self):
        assert self.state in STATES, self.state

    @classmethod
    def failed(cls, error: ResGenError) -> "Status":
        """The state of what ended with an error; what was stopped on purpose is cancelled."""
        if error.code == "STOPPED":
            return cls("cancelled", "Stopped; nothing was kept.")
        words = f"{error.message[:1].upper()}{error.message[1:]}"
        return cls("failed", f"{words} {error.hint}".strip(), error.code)

    def html(self, name: str) -> str:
        """The line, for the element ``name``."""
        code = f"<code>{html.escape(self.code)}</code> " if self.code else ""
        bar = ""
        if self.share is not None:
            bar = f'<progress max="1" value="{self.share:.3f}" aria-label="progress"></progress>'
        return (
            f'<div class="status {self.state}" id="{name}-line" data-state="{self.state}" data-code="'
            f'{html.escape(self.code)}" role="status" aria-live="polite"><b>{self.state}</b> {code}'
            f"{html.escape(self.words)}{bar}</div>"
        )


def listed(title: str, notes: tuple[str, ...] | list[str]) -> str:
    """Warnings as a list, their codes set apart; nothing where there are none."""
    if not notes:
        return ""
    rows = []
    for note in notes:
        code, colon, words = note.partition(": ")
        shown = f"<code>{html.escape(code)}</code> {html.escape(words)}" if colon else html.escape(note)
        rows.append(f"<li>{shown}</li>")
    return f'<div class="notes"><b>{html.escape(title)}</b><ul>{"".join(rows)}</ul></div>'
