"""Asking a run to stop: SIGTERM, SIGUSR1 or the first Ctrl-C; the step in hand is finished and saved."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resgen_tts.common.errors import ResGenError

_SIGNALS = ("SIGTERM", "SIGUSR1", "SIGINT")


class Interrupted(ResGenError):
    """The run was asked to stop; it has saved a checkpoint and the same command continues it."""

    default_code = "INTERRUPTED"
    exit_code = 75  # EX_TEMPFAIL: try again

    def __init__(self, message: str, *, code: str = "", hint: str = "", checkpoint: Path | None = None):
        super().__init__(message, code=code, hint=hint)
        self.checkpoint = checkpoint


class _StopNow(BaseException):
    """Leaves work that changes no state, such as validation, at once."""


class StopFlag:
    """Holds the signal that asked to stop. Handlers are put back on exit; a second Ctrl-C interrupts as usual."""

    def __init__(self):
        self.signal = ""
        self._before: dict[int, Any] = {}
        self._can_leave = False

    def __enter__(self) -> "StopFlag":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handler
            for name in _SIGNALS:
                if hasattr(signal, name):
                    number = getattr(signal, name)
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: object) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number).name
        if self._can_leave:
            self._can_leave = False
            raise _StopNow

    def leave_early(self, work: Callable[[], None], *, allowed: bool = True) -> bool:
        """Do work that may be dropped in the middle when a signal comes; say whether it was finished."""
        try:
            self._can_leave = allowed
            if allowed and self.signal:
                return False
            work()
            self._can_leave = False
        except _StopNow:
            return False
        finally:
            self._can_leave = False
        return True
