"""Runs exports: a job is a task of the queue, given there by the schedule under its limits."""

from __future__ import annotations

from threading import Event

from common.errors import NotFoundError
from common.service import repeat, start_thread
from common.tasks import Result, Task, TaskQueue
from common.worker import Batch
from website.exports.job import STOPPING, ExportJob, ExportServices
from website.exports.store import KIND, Exports
from website.settings import ExportSettings

ADMIT_SECONDS = 1.0


class Exporter:
    """What works on tasks of the kind ``export``."""

    kind = KIND
    batch = 1

    def __init__(self, services: ExportServices, queue: TaskQueue) -> None:
        self._services, self._queue = services, queue

    def work(self, batch: Batch) -> list[Result]:
        """Run one job until it ends, its user stops it, or the worker has to stop."""
        results = []
        for task in batch.tasks:
            result, _ = batch.attempt(task, lambda task=task: self._run(task, batch))  # type: ignore[misc]
            if result.state != STOPPING:
                results.append(result)
        return results

    def _run(self, task: Task, batch: Batch) -> Result:
        try:
            export = self._services.exports.read(task.subject)
        except NotFoundError:
            return Result(task, "discarded")
        # Workers that died over it before are no reason to give up a job that gets on.
        state = ExportJob(self._services, export, task.delays, batch.stopping, lambda: self._queue.forgive(task)).run()
        return Result(task, STOPPING if state == STOPPING else "done")


def admit_jobs(exports: Exports, queue: TaskQueue, settings: ExportSettings, stop: Event) -> None:
    """Start the thread that gives queued jobs to the workers; every worker may have one, they take turns."""

    def admit() -> None:
        exports.admit(queue, per_user=settings.export_jobs_per_user, in_all=settings.export_jobs)

    start_thread("admit", repeat, "admit", admit, stop, ADMIT_SECONDS)
