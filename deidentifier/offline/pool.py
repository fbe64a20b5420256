"""The processes of a run with several workers, and the one that serves them mappings in memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.managers import BaseManager

from common.errors import RefusedError
from common.log import silence_libraries
from deidentifier.mappings import MappingStore, MemoryMappings
from deidentifier.offline.batch import Job, Result, Worker, database_mappings
from deidentifier.offline.inputs import Input

_PENDING_PER_WORKER = 4

_worker: Worker | None = None
"""The worker of this process, in a process that the pool started."""


def _start(job: Job, mappings: MappingStore | None) -> None:
    global _worker  # the pool's processes have no other place to keep it
    silence_libraries()
    _worker = Worker(job, mappings if mappings is not None else database_mappings(job.settings.pseudonym_key))


def _process(number: int, source: Input) -> Result:
    if _worker is None:
        raise RefusedError("the worker was not started")
    return _worker.process(number, source)


class _Manager(BaseManager):
    """Serves mappings in memory to worker processes."""


@contextmanager
def served_mappings() -> Iterator[MappingStore]:
    """Provide mappings in memory for several processes, through one of their own that serves them."""
    _Manager.register("mappings", MemoryMappings)
    with _Manager(ctx=multiprocessing.get_context("spawn")) as manager:
        yield manager.mappings()  # type: ignore[attr-defined]  # registered above


def process_in_pool(
    job: Job, numbered: Iterable[tuple[int, Input]], mappings: MappingStore | None, workers: int
) -> Iterator[Result]:
    """De-identify files in several processes and yield results as they are ready."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(job, mappings)) as pool:
        pending: set[Future[Result]] = set()
        for number, source in numbered:
            pending.add(pool.submit(_process, number, source))
            while len(pending) >= workers * _PENDING_PER_WORKER:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in pending)
