"""Independent calls in several processes, with a progress bar on a terminal."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from resgen_tts.common.errors import DataError


def in_parallel(calls: Sequence[Callable[[], Any]], num_jobs: int, label: str) -> list[Any]:
    """Run calls in `num_jobs` processes (1: in this one).

    Args:
        calls: picklable, independent of each other and of how many run at once.
    Returns:
        results in the order of the calls.
    Raises:
        DataError: WORKER_DIED, where a process was killed; errors of the calls come through as they are.
    """
    from tqdm import tqdm

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes are the parallelism
    if num_jobs <= 1 or len(calls) < 2:
        return [call() for call in tqdm(calls, desc=label, disable=None)]
    results: list[Any] = [None] * len(calls)
    workers = min(num_jobs, len(calls))
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        futures = {pool.submit(call): index for index, call in enumerate(calls)}
        for future in tqdm(as_completed(futures), total=len(futures), desc=label, disable=None):
            results[futures[future]] = future.result()
    except BrokenProcessPool as error:
        raise DataError(
            f"a process of '{label}' died; what was finished is kept.",
            code="WORKER_DIED",
            hint="It may have run out of memory: run again with a smaller --nj.",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def _end_with_parent() -> None:
    """In a worker: leave when the parent is gone. It would wait for work for ever where the parent was killed."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
