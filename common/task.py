"""What the task queue takes and gives: what is asked for, what a worker holds, how it ended, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Asked:
    """A subject to work on; ``feed`` and ``seq`` name the change that asks, if one does."""

    subject: str
    feed: int | None = None
    seq: int | None = None


@dataclass(frozen=True)
class Task:
    """A task that this worker holds; ``begun`` tells whether one had it before, now or in an earlier life."""

    id: int
    kind: str
    subject: str
    attempts: int = 0
    delays: int = 0
    losses: int = 0
    outcome: str | None = None
    result: str | None = None
    source_md5: str | None = None
    withdrawn: bool = False
    request: str | None = None
    waited: float = 0.0
    approved: bool = False
    begun: bool = False


@dataclass(frozen=True)
class Result:
    """What became of a task; ``state`` is ``queued`` when it is to be tried again after ``delay`` seconds."""

    task: Task
    state: str
    attempts: int = 0
    delays: int = 0
    delay: float = 0.0
    error_code: str | None = None
    error: str | None = None
    result: str | None = None
    result_md5: str | None = None
    source_md5: str | None = None
    rules_sha256: str | None = None
    detail: Mapping[str, Any] | None = field(default=None)
    bytes: int = 0


class Backlog(NamedTuple):
    """What waits of one kind, for those who scale workers and raise alarms."""

    queued: int
    running: int
    workers: int
    oldest_seconds: float
    quarantined: int
    failed: int
    feed_lag: int

    @property
    def per_worker(self) -> float:
        """Tasks that are not finished for each worker that holds some; without workers, as if there were one."""
        return (self.queued + self.running) / max(1, self.workers)
