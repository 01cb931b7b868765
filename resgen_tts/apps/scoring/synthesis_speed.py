"""What a run of ``synthesize-list`` cost, for ``speed`` of its run.json (see `evaluation.measures.speed`)."""

import contextlib
import resource
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resgen_tts.common.run_dir import read_json, write_json


class SpeedLog:
    """Figures that no single item can tell, kept beside its settings in a run.json that is there already.

    The first output's are written as soon as it is there, so that a run that is stopped has them; one that goes on
    later keeps them, and its peak of memory counts too.

    Args:
        load_seconds: wall time in which the model was loaded, the libraries being there.
    """

    def __init__(self, run: Path, load_seconds: float):
        self.run, self.load_seconds = Path(run), load_seconds
        self._first_audio: list[float] = []

    def spoken(self, row: Mapping[str, Any]) -> None:
        """One more item was spoken."""
        self._first_audio.append(row["seconds_to_first_audio"])
        if len(self._first_audio) > 1:
            return
        told = self._told()
        if "first_seconds" not in told:
            told |= {
                "load_seconds": self.load_seconds,
                "first_seconds": self.load_seconds + row["seconds_to_generate"],
                "first_output_seconds": row["seconds_of_audio"],
            }
        self._write(told)

    def finish(self) -> None:
        """All items were spoken; nothing is written where all of them were there before."""
        if not self._first_audio:
            return
        told = self._told()
        if len(self._first_audio) > 1:  # the first one also pays for what libraries set up once
            told["first_audio_seconds"] = statistics.median(self._first_audio[1:])
        self._write(told)

    def _told(self) -> dict[str, Any]:
        return dict(read_json(self.run).get("speed") or {})

    def _write(self, told: Mapping[str, Any]) -> None:
        peak = max(peak_memory_mib(), told.get("peak_memory_mib") or 0.0)
        write_json(self.run, {**read_json(self.run), "speed": {**told, "peak_memory_mib": peak}})


def peak_memory_mib() -> float:
    """Most memory that this process has held at once, in MiB: its resident set, libraries and model included."""
    # Linux tells it of this program alone; getrusage keeps the peak of what the process was before it became this one.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10  # kB
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
