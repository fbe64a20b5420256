"""The table of exports: jobs, what their users ask of them, and who runs next.

::

    queued ──► running ──► done | failed | cancelled
       ▲          │
       │          ▼
       └─────── paused      resumed; failed instances of a finished job may be queued again

:meth:`Exports.admit` gives queued jobs to the workers' queue under the limits, one user after the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

from common.database import Cursor, Database, load_statements
from common.errors import NotFoundError, RefusedError, StatementError
from common.sealing import Seal
from common.tasks import Asked, TaskQueue
from website.exports.credentials import KEYS_LIVE_HOURS, Keys
from website.exports.destinations import Destination
from website.exports.export import Export, NewExport

KIND = "export"
_SQL = Path(__file__).with_name("store.sql")
_LOCK = "research.exports.admit"


class Exports:
    """The exports of everybody; callers ask whose it is before they show one.

    Parameters
    ----------
    key
        ``RPACS_EXPORT_KEY``: seals keys that users type; without it, none are taken.
    """

    def __init__(self, database: Database, key: str = "") -> None:
        self._database = database
        self._seal = Seal("key", key, "RPACS_EXPORT_KEY") if key else None
        self._sql = load_statements(_SQL)

    @property
    def takes_keys(self) -> bool:
        """Tell whether keys that users type can be kept."""
        return self._seal is not None

    def add(self, new: NewExport, keys: Keys | None = None) -> str:
        """Queue a job; returns its identifier.

        Raises
        ------
        RefusedError
            Another open job writes to the same place, or keys cannot be kept.
        """
        values = {
            **vars(new),
            "counts": json.dumps(dict(new.counts)),
            "choices": json.dumps(new.choices.as_dict()),
            "destination": json.dumps(new.destination.as_dict()),
            "instances": new.counts.get("instances", 0),
        }
        try:
            with self._database.transaction() as cursor:
                cursor.execute(self._sql["insert"], values)
                identifier = str((cursor.fetchone() or ("",))[0])
                if keys is not None:
                    self._keep(cursor, identifier, keys)
        except StatementError as exc:
            raise _same_place(exc) from exc
        return identifier

    def read(self, identifier: str) -> Export:
        """Return a job.

        Raises
        ------
        NotFoundError
            There is none.
        """
        rows = self._rows("read", id=identifier)
        if not rows:
            raise NotFoundError("there is no such export")
        return Export.of(rows[0])

    def latest(self, user: str | None, limit: int = 200) -> list[Export]:
        """Return the latest jobs of a user, or of everybody."""
        return [Export.of(row) for row in self._rows("list", user=user, limit=limit)]

    def count_open(self, user: str) -> int:
        """Count a user's jobs that have not ended."""
        return int(self._rows("count_open", user=user)[0][0])

    # ------------------------------------------------------------------------------------------ what users ask
    def ask(self, identifier: str, wish: str) -> str:
        """Ask a job to ``pause`` or ``cancel``; returns its state: ``running`` until its worker has stopped.

        Raises
        ------
        RefusedError
            It has ended already.
        """
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["ask"], {"id": identifier, "wish": wish})
            row = cursor.fetchone()
            if row is None:
                raise RefusedError(f"this export cannot be asked to {wish} any more")
            if row[0] == "cancelled":
                cursor.execute(self._sql["erase_secret"], {"id": identifier})
        return str(row[0])

    def resume(self, identifier: str, keys: Keys | None = None) -> None:
        """Queue a paused or failed job again; what was sent is not sent again."""
        self._again("resume", identifier, keys)

    def rerun(self, identifier: str, keys: Keys | None = None) -> None:
        """Queue a finished job again for the instances that failed."""
        self._again("rerun", identifier, keys)

    def _again(self, statement: str, identifier: str, keys: Keys | None) -> None:
        try:
            with self._database.transaction() as cursor:
                cursor.execute(self._sql[statement], {"id": identifier})
                if not cursor.rowcount:
                    raise RefusedError("this export cannot be started again now")
                if statement == "rerun":
                    cursor.execute(self._sql["forget_failures"], {"id": identifier})
                if keys is not None:
                    self._keep(cursor, identifier, keys)
        except StatementError as exc:
            raise _same_place(exc) from exc

    # --------------------------------------------------------------------------------------------- scheduling
    def admit(self, queue: TaskQueue, *, per_user: int, in_all: int) -> int:
        """Give queued jobs to the workers, under the limits; returns how many. Erases keys that are over."""
        with self._database.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (_LOCK,))
            cursor.execute(self._sql["abandoned"])
            cursor.execute(self._sql["erase_secrets"])
            cursor.execute(self._sql["admit"], {"per_user": per_user, "in_all": in_all})
            asked = [Asked(str(identifier), feed=1, seq=run) for identifier, run in cursor.fetchall()]
            return queue.enqueue(cursor, KIND, asked) if asked else 0

    def begin(self, identifier: str) -> bool:
        """Note that a worker has taken a job up; False where it is not to be run any more."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["begin"], {"id": identifier})
            return bool(cursor.rowcount)

    def end(self, identifier: str, state: str, reason: str | None = None) -> str:
        """Note how a run ended; returns the state it is in: the user's wish counts. Keys go with the job."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["end"], {"id": identifier, "state": state, "reason": reason})
            row = cursor.fetchone()
            now = str(row[0]) if row else ""
            if now in ("done", "failed", "cancelled"):
                cursor.execute(self._sql["erase_secret"], {"id": identifier})
        return now

    def trouble(self, identifier: str, reason: str) -> None:
        """Say what a running job waits for."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["trouble"], {"id": identifier, "reason": reason})

    def wish(self, identifier: str) -> str:
        """Return what a running job is asked for: nothing, ``pause`` or ``cancel``."""
        rows = self._rows("wish", id=identifier)
        if not rows or rows[0][0] != "running":
            return "cancel"
        return str(rows[0][1] or "")

    # ---------------------------------------------------------------------------------------------- credentials
    def keys(self, identifier: str) -> Keys | None:
        """Return the keys of a job; None once they are erased."""
        rows = self._rows("read_secret", id=identifier)
        if not rows or self._seal is None:
            return None
        return Keys.parse(self._seal.open(rows[0][0], identifier))

    def external_id(self, user: str, project: str | None) -> str:
        """Return the external ID of a user's project: made once, the same for ever."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["external_id"], {"user": user, "project": project or ""})
            return str((cursor.fetchone() or ("",))[0])

    def _keep(self, cursor: Cursor, identifier: str, keys: Keys) -> None:
        if self._seal is None:
            raise RefusedError("this portal takes no keys: the administrator has to set RPACS_EXPORT_KEY")
        sealed = self._seal.seal(keys.serialise(), identifier)
        cursor.execute(self._sql["keep_secret"], {"id": identifier, "sealed": sealed, "hours": KEYS_LIVE_HOURS})

    def holding(self, uids: Sequence[str]) -> list[dict[str, Any]]:
        """Return which exports held instances, by SOP Instance UID; ``sent`` is False where it is not certain."""
        return [
            {
                "export": str(identifier),
                "user": user,
                "state": state,
                "destination": Destination(**destination).url,
                "created": created.astimezone(UTC).isoformat(timespec="seconds"),
                "sop_instance_uid": uid,
                "sent": item == "sent",
                "keys": keys or [],
            }
            for identifier, user, state, destination, created, uid, item, keys in self._rows("holding", uids=[*uids])
        ]

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._database.transaction() as cursor:
            cursor.execute(self._sql[statement], values)
            return cursor.fetchall()


def _same_place(error: StatementError) -> Exception:
    if "exports_place" in str(error):
        return RefusedError("another export that has not ended writes to this place: choose another prefix")
    return error
