"""Batches read ahead in one thread, in order."""

import contextlib
import queue
import threading
from collections.abc import Iterator

from resgen_tts.common.errors import DataError
from resgen_tts.engine.task import Batch, Task


class BatchStream:
    """The batches of a task from a given place on, epoch after epoch, read by a thread while steps are computed.

    Iterating gives (epoch, index within the epoch, batch). With several ranks, each takes every ``world``-th batch
    and an epoch's incomplete last group is left out, so that all take the same number of steps.

    Raises (from the iteration):
        DataError: an epoch without a batch; and whatever ``train_batches`` raises.
    """

    def __init__(self, task: Task, epoch: int, first: int, *, ahead: int = 2, rank: int = 0, world: int = 1):
        self._task, self._epoch, self._first = task, epoch, first
        self._rank, self._world = rank, world
        self._queue: queue.Queue = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="batches", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[int, int, Batch]]:
        while True:
            item = self._queue.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Stop reading."""
        self._stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join(timeout=10)

    def _fill(self) -> None:
        try:
            epoch, first = self._epoch, self._first
            while True:
                for index, batch in enumerate(self._epoch_batches(epoch)):
                    if index >= first and not self._put((epoch, index, batch)):
                        return
                    if self._stopped.is_set():
                        return
                epoch, first = epoch + 1, 0
        except BaseException as error:  # handed to the loop, which raises it
            self._put(error)

    def _epoch_batches(self, epoch: int) -> Iterator[Batch]:
        count = 0
        mine = None
        for position, batch in enumerate(self._task.train_batches(epoch)):
            if position % self._world == self._rank:
                mine = batch
            if position % self._world == self._world - 1:
                count += 1
                yield mine
        if not count:
            raise DataError(f"epoch {epoch} of {type(self._task).__name__} has no batch.", code="DATA_EMPTY")

    def _put(self, item: object) -> bool:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=0.1)
                return True
        return False
