"""The task queue, a table of PostgreSQL: what has to be done, by whom, and how it ended.

::

    queued ──► running ──► done | discarded | quarantined | failed
       ▲          │
       └──────────┘  a peer is away (no attempt used), an attempt failed, the lease ended, or asked for again

A row is one subject of one kind, for as long as the subject lives: asking again for what is finished begins it anew.
A worker holds a lease and renews it; when it dies, the lease ends and another worker takes the task. What a worker
writes counts only while it holds the lease. Everything may therefore happen twice, and must be harmless twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.database import Cursor, Database, load_statements
from common.errors import QuarantineError
from common.retry import decide
from common.settings import TaskSettings
from common.task import Asked, Backlog, Result, Task

__all__ = ["Asked", "Backlog", "Result", "Task", "TaskQueue"]

MAX_LOSSES = 10
"""Workers that may die over a task before it is marked as failed."""


class TaskQueue:
    """The queue of one schema.

    Parameters
    ----------
    schema
        ``ingest`` or ``research``.
    lease_seconds
        See ``RPACS_TASK_LEASE_SECONDS``.
    max_attempts
        See ``RPACS_TASK_MAX_ATTEMPTS``.
    """

    def __init__(self, database: Database, schema: str, *, lease_seconds: int = 120, max_attempts: int = 3) -> None:
        self.database = database
        self.schema = schema
        self.lease_seconds = lease_seconds
        self.max_attempts = max_attempts
        statements = load_statements(Path(__file__).with_suffix(".sql"))
        self._sql = {name: text.replace("{schema}", schema) for name, text in statements.items()}

    @classmethod
    def from_settings(cls, settings: TaskSettings, database: Database, schema: str) -> TaskQueue:
        """Make the queue that a service's settings describe."""
        return cls(database, schema, lease_seconds=settings.task_lease_seconds, max_attempts=settings.task_max_attempts)

    @property
    def channel(self) -> str:
        """Name of the NOTIFY channel on which new work is announced."""
        return f"rpacs_{self.schema}_tasks"

    # --------------------------------------------------------------------------------------------------- asking
    def enqueue(self, cursor: Cursor, kind: str, asked: Sequence[Asked]) -> int:
        """Ask for subjects, in the caller's transaction; returns how many are new or begin anew."""
        latest = {item.subject: item for item in asked}  # ascending: of one subject's changes the last one counts
        if not latest:
            return 0
        parameters = {
            "kind": kind,
            "subjects": list(latest),
            "feeds": [item.feed for item in latest.values()],
            "seqs": [item.seq for item in latest.values()],
        }
        cursor.execute(self._sql["enqueue"], parameters)
        return self._announce(cursor, cursor.rowcount)

    def enqueue_found(
        self, cursor: Cursor, kind: str, subjects: Sequence[str], *, repeat: bool, ended: float = 5
    ) -> int:
        """Ask for what was found; ``repeat``: also where the task is finished, for ``ended`` seconds at least."""
        parameters = {"kind": kind, "subjects": sorted(set(subjects)), "repeat": repeat, "ended": ended}
        cursor.execute(self._sql["enqueue_found"], parameters)
        return self._announce(cursor, cursor.rowcount)

    def _announce(self, cursor: Cursor, asked: int) -> int:
        if asked:
            cursor.execute("SELECT pg_notify(%s, '')", (self.channel,))
        return asked

    # -------------------------------------------------------------------------------------------------- working
    def claim(self, kind: str, worker: str, limit: int) -> list[Task]:
        """Take up to ``limit`` waiting tasks, the oldest first."""
        with self.database.transaction() as cursor:
            return self._claim(cursor, "claim", kind, worker, limit)

    def claim_suspect(self, kind: str, worker: str) -> list[Task]:
        """Take one task over which workers died more than once; run it while nothing else is at stake."""
        with self.database.transaction() as cursor:
            return self._claim(cursor, "claim_suspect", kind, worker, 1)

    def count_suspects(self, kind: str) -> int:
        """Count the tasks that :meth:`claim_suspect` would take."""
        return int(self.database.call(self._sql["count_suspects"], {"kind": kind})[0][0])

    def exchange(self, results: Sequence[Result], kind: str, worker: str, limit: int) -> list[Task]:
        """Finish some tasks and take others, in one transaction and one round trip; ``limit`` 0 takes none."""
        statements, parameters = [], self._claiming(kind, worker, limit)
        if results:
            statements, parameters = [self._sql["finish"]], parameters | _finishing(results)
        if limit:
            statements.append(self._sql["claim"])
        rows = self.database.call(";\n".join(statements), parameters) if statements else []
        return _as_tasks(rows) if limit else []

    def _claim(self, cursor: Cursor, statement: str, kind: str, worker: str, limit: int) -> list[Task]:
        cursor.execute(self._sql[statement], self._claiming(kind, worker, limit))
        return _as_tasks(cursor.fetchall())

    def _claiming(self, kind: str, worker: str, limit: int) -> dict[str, Any]:
        return {"kind": kind, "worker": worker, "limit": limit, "lease": self.lease_seconds}

    def finish(self, cursor: Cursor, worker: str, results: Sequence[Result]) -> int:
        """Write down how tasks ended, where this worker still holds them; returns how many it did."""
        if not results:
            return 0
        cursor.execute(self._sql["finish"], {"worker": worker, **_finishing(results)})
        return cursor.rowcount

    def forgive(self, task: Task) -> None:
        """Forget the workers that died over a long task: it got on since, so it is not what killed them."""
        if task.losses:
            with self.database.transaction() as cursor:
                cursor.execute(self._sql["forgive"], {"id": task.id})

    def decide(self, worker: str, results: Sequence[Result]) -> set[int]:
        """Write down what was decided before originals are deleted; returns the IDs of tasks still held."""
        parameters = {
            "worker": worker,
            "ids": [result.task.id for result in results],
            "outcomes": [result.state for result in results],
            "results": [result.result for result in results],
            "result_md5s": [result.result_md5 for result in results],
            "md5s": [result.source_md5 for result in results],
        }
        return {row[0] for row in self.database.call(self._sql["decide"], parameters)}

    def result_md5(self, task: Task) -> str | None:
        """Return the MD5 of a task's earlier result, where it is known."""
        md5: str | None = self.database.call(self._sql["result_md5"], _result_of(task))[0][0]
        return md5

    def shares_result(self, task: Task, result: str) -> bool:
        """Tell whether another task than this one delivered under the identity of a result; slow."""
        return bool(self.database.call(self._sql["shares_result"], {**_result_of(task), "result": result})[0][0])

    def forget_result(self, worker: str, task: Task) -> None:
        """Write down that a task's earlier result was taken back; it stays so until something is delivered again."""
        with self.database.transaction() as cursor:
            cursor.execute(self._sql["forget_result"], {**_result_of(task), "worker": worker})

    def result_of_error(self, task: Task, error: BaseException) -> Result:
        """Return what follows an error in a task."""
        decision = decide(error, attempts=task.attempts, delays=task.delays, max_attempts=self.max_attempts)
        return Result(
            task,
            decision.state,
            attempts=decision.attempts,
            delays=decision.delays,
            delay=decision.delay,
            error_code=decision.error_code,
            error=decision.error,
            detail=_detail(error),
        )

    def heartbeat(self, worker: str, ids: Iterable[int]) -> set[int]:
        """Renew leases; returns the IDs of tasks that this worker still holds."""
        parameters = {"worker": worker, "ids": list(ids), "lease": self.lease_seconds}
        return {row[0] for row in self.database.call(self._sql["heartbeat"], parameters)}

    def release(self, worker: str, tasks: Sequence[Task]) -> None:
        """Give tasks back untouched."""
        with self.database.transaction() as cursor:
            cursor.execute(self._sql["release"], {"worker": worker, "ids": [task.id for task in tasks]})
            self._announce(cursor, cursor.rowcount)

    def reap(self) -> tuple[int, int]:
        """Queue tasks whose lease ended; returns how many were queued, and how many failed for good."""
        with self.database.transaction() as cursor:
            cursor.execute(self._sql["reap"], {"limit": MAX_LOSSES, "lease": self.lease_seconds})
            states = [row[1] for row in cursor.fetchall()]
            self._announce(cursor, len(states))
        return states.count("queued"), states.count("failed")

    # ------------------------------------------------------------------------------------------------- watching
    def counts(self) -> list[dict[str, Any]]:
        """Return tasks and the age of the oldest by kind, state and class of error."""
        return self._rows("counts", {})

    def waiting(self, kind: str) -> tuple[int, float]:
        """Return how many tasks wait or run, and for how many seconds the oldest does."""
        row = self._rows("waiting", {"kind": kind})[0]
        return int(row["tasks"]), float(row["oldest_seconds"] or 0)

    def backlog(self, kind: str) -> Backlog:
        """Return what waits of one kind; cheap however many tasks are finished."""
        return Backlog(*self.database.call(self._sql["backlog"], {"kind": kind})[0])

    def list_tasks(
        self,
        *,
        states: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        codes: Sequence[str] | None = None,
        ids: Sequence[int] | None = None,
        subjects: Sequence[str] | None = None,
        older: float = 0,
        after: int = 0,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Return rows, the oldest first, a page after the row with the ID ``after``; ``older`` is in seconds."""
        given = {"states": states, "kinds": kinds, "codes": codes, "ids": ids, "subjects": subjects}
        parameters = {name: None if value is None else [*value] for name, value in given.items()}
        return self._rows("list", {**parameters, "older": older, "after": after, "limit": limit})

    # -------------------------------------------------------------------------------------------------- mending
    def retry(self, ids: Sequence[int]) -> int:
        """Queue tasks again; returns how many."""
        with self.database.transaction() as cursor:
            cursor.execute(self._sql["retry"], {"ids": [*ids]})
            return self._announce(cursor, cursor.rowcount)

    def approve(self, ids: Sequence[int]) -> int:
        """Queue tasks in quarantine whose results are to be sent on despite what was found; returns how many."""
        with self.database.transaction() as cursor:
            cursor.execute(self._sql["approve"], {"ids": [*ids]})
            return self._announce(cursor, cursor.rowcount)

    def discard(self, ids: Sequence[int]) -> int:
        """Mark tasks as discarded by hand: nothing is sent on, not even when they run again; returns how many."""
        with self.database.transaction() as cursor:
            cursor.execute(self._sql["discard"], {"ids": [*ids]})
            return cursor.rowcount

    def prune(self, kind: str, age: float) -> int:
        """Shrink tasks that are done or discarded for ``age`` seconds into daily counts; returns how many."""
        with self.database.transaction() as cursor:
            cursor.execute(self._sql["prune"], {"kind": kind, "age": age})
            return int((cursor.fetchone() or (0,))[0])

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self.database.transaction() as cursor:
            cursor.execute(self._sql[statement], parameters)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _detail(error: BaseException) -> dict[str, Any] | None:
    """Return what an error found where, for the row of its task."""
    findings = error.findings if isinstance(error, QuarantineError) else ()
    return {"findings": list(findings)} if findings else None


def _result_of(task: Task) -> dict[str, Any]:
    return {"id": task.id, "kind": task.kind, "subject": task.subject, "result": task.result}


def _as_tasks(rows: Iterable[tuple[Any, ...]]) -> list[Task]:
    return sorted((Task(*row) for row in rows), key=lambda task: task.id)


def _finishing(results: Sequence[Result]) -> dict[str, Any]:
    return {
        "ids": [result.task.id for result in results],
        "states": [result.state for result in results],
        "attempts": [result.attempts for result in results],
        "delays": [min(result.delays, 1000) for result in results],
        "delay": [result.delay for result in results],
        "error_codes": [result.error_code for result in results],
        "errors": [result.error for result in results],
        "results": [result.result for result in results],
        "result_md5s": [result.result_md5 for result in results],
        "md5s": [result.source_md5 for result in results],
        "rules": [result.rules_sha256 for result in results],
        "details": [json.dumps(result.detail) if result.detail is not None else None for result in results],
        "bytes": [result.bytes for result in results],
    }
