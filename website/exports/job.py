"""One job from start to end, or to where it cannot go on: told in :meth:`ExportJob.run` from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from common.audit import AuditTrail
from common.auth.users import Users
from common.database import Database
from common.errors import PermanentError, RefusedError, TransientError, UnauthenticatedError
from common.orthanc import Orthanc
from common.query import NOTHING, Node, all_of, compile_match, conditions, parse
from website.exports import manifest
from website.exports.bucket import Bucket, BucketRefusedError
from website.exports.credentials import RoleSource, session_of
from website.exports.destinations import DestinationsFile
from website.exports.endpoints import Endpoints
from website.exports.export import Export
from website.exports.items import Item, Items
from website.exports.keys import IDENTITY, Identity
from website.exports.notify import Notifier
from website.exports.objects import ObjectMaker
from website.exports.store import Exports
from website.exports.transfer import Transfer, Work
from website.index import Index
from website.permissions import PermissionsFile

_LOOK_AGAIN_SECONDS = 10.0
_ASK_SECONDS = 1.0
_PAGE = 200
_PATIENCE = 40
"""Runs in a row that a peer may spoil, a minute apart, before a person has to look."""
STOPPING = "stopping"


class _StoppedError(Exception):
    """The job is asked to stop; its text says why."""


class PauseError(PermanentError):
    """The job cannot go on until a person did something."""


@dataclass(frozen=True)
class ExportServices:
    """What jobs are made with and run on."""

    database: Database
    orthanc: Orthanc
    index: Index
    exports: Exports
    users: Users
    permissions: PermissionsFile
    destinations: DestinationsFile
    endpoints: Endpoints
    roles: RoleSource
    audit: AuditTrail
    notifier: Notifier
    connections: int = 8

    def bucket(self, export: Export, *, connections: int = 8) -> Bucket:
        """Return the bucket of a job, as whoever it writes.

        Raises
        ------
        RefusedError
            Keys are gone, the role cannot be assumed, or the endpoint is not allowed any more.
        """
        external_id = self.exports.external_id(export.user, export.purpose) if export.destination.role_arn else ""
        session = session_of(export.destination, self.exports.keys(export.id), self.roles, external_id)
        return Bucket(export.destination, session, connections=connections)


@dataclass
class ExportJob:
    """A run of a job.

    Parameters
    ----------
    delays
        Runs in a row that a peer spoiled before this one.
    stopping
        Tells whether the worker has to stop.
    progressed
        Called now and then while instances are ticked off.
    """

    services: ExportServices
    export: Export
    delays: int
    stopping: Callable[[], bool]
    progressed: Callable[[], None]
    _permitted: Node = field(default=NOTHING, init=False)
    _looked: float = field(default=0.0, init=False)
    _transfer: Transfer | None = field(default=None, init=False)

    def run(self) -> str:
        """Run the job; returns the state that it is in then, or ``stopping``.

        Raises
        ------
        TransientError
            A peer is away: worth another run later.
        """
        store = self.services.exports
        if not store.begin(self.export.id):
            return ""  # its user was quicker
        self._note("start" if not self.export.listed else "continue")
        try:
            stopped = self._work()
        except _StoppedError as exc:
            stopped = str(exc)
        except TransientError as exc:
            return self._wait(exc)
        except (PauseError, BucketRefusedError) as exc:
            return self._end("paused", f"{exc}.".replace("..", "."))
        except PermanentError as exc:
            return self._end("failed", str(exc))
        if stopped == STOPPING:
            return STOPPING
        return self._end("running" if stopped else "done")

    def _work(self) -> str:
        """Do it; returns why it stopped early, nothing at the end."""
        self._look()
        self._check_destination()
        bucket = self._open_bucket()
        try:
            items = Items(self.services.database, self.export.id)
            bucket.probe()
            manifest.unfinish(bucket)
            if not self.export.listed:
                items.write(self._listed(), self.export.choices)
            transfer = self._transfer = Transfer(items, bucket, self.services.connections, self._control)
            maker = ObjectMaker(self.services.orthanc, bucket, self.export.choices, lambda: transfer.stopping)
            transfer.run(self._left(items), maker)
            if transfer.stopped or (stopped := self._control()):
                return transfer.stopped or stopped
            manifest.finish(self.services.exports.read(self.export.id), items, bucket, self._stopped)
        finally:
            bucket.close()
        return ""

    # ---------------------------------------------------------------------------------------------- permissions
    def _look(self) -> None:
        """Evaluate the user's permissions as they are now; the groups are those of a recent login.

        Raises
        ------
        PauseError
            The login is too long ago.
        RefusedError
            The user is disabled, or may not export any more.
        """
        user = self.export.user
        known = self.services.users.find(user)
        if known is None or known.disabled_at is not None:
            raise RefusedError("The user is disabled.")
        try:
            groups = self.services.users.groups(user)
        except UnauthenticatedError as exc:
            raise PauseError("The last login is too long ago: log in again, then resume") from exc
        access = self.services.permissions.value.access(user, groups)
        if not access.may("export"):
            raise RefusedError("Its user may not export any more.")
        name = self.export.destination.name
        if name and name not in access.destinations:
            raise PauseError(f"Its user may not use the destination {name} any more")
        self._permitted = all_of([parse(self.export.query), access.export])
        self._looked = time.monotonic()

    def _check_destination(self) -> None:
        destination = self.export.destination
        if destination.kind != "configured":
            try:
                self.services.endpoints.check(destination.endpoint)
            except RefusedError as exc:
                raise PauseError("The administrator does not allow this endpoint any more") from exc

    def _open_bucket(self) -> Bucket:
        try:
            return self.services.bucket(self.export, connections=self.services.connections)
        except RefusedError as exc:
            raise PauseError(str(exc)) from exc

    # ------------------------------------------------------------------------------------------------- the list
    def _listed(self) -> Iterator[Identity]:
        asked = time.monotonic()
        for hit in self.services.index.instances(self._permitted, documents=True, only=IDENTITY):
            if hit.document is not None:
                yield Identity.of(hit.document)
            if time.monotonic() - asked > _ASK_SECONDS:
                asked = time.monotonic()
                if stopped := self._control():
                    raise _StoppedError(stopped)

    def _left(self, items: Items) -> Iterator[Work]:
        """Yield what is to be sent, after looking whether it is still there and its user may still have it."""
        page: list[Item] = []
        for item in items.waiting():
            page.append(item)
            if len(page) == _PAGE:
                yield from self._still_permitted(items, page)
                page = []
        yield from self._still_permitted(items, page)

    def _still_permitted(self, items: Items, page: list[Item]) -> Iterator[Work]:
        permitted = self._permitted
        only = None if self.export.choices.needs_elements else {each.path for each in conditions(permitted)}
        documents = self.services.index.documents((item.instance for item in page), only)
        found = {each.ids.instance: each for each in documents}
        allows = compile_match(permitted)
        gone = [item for item in page if item.instance not in found]
        if gone:
            items.refuse(gone, "NotFound", "The archive does not hold it any more.")
        refused = [item for item in page if item.instance in found and not allows(found[item.instance])]
        if refused:
            items.refuse(refused, "Refused", "Its user may not export it any more.")
        left_out = {item.number for item in (*gone, *refused)}
        for item in page:
            if item.number not in left_out:
                yield item, found[item.instance]

    def _control(self) -> str:
        """Say why to stop, if there is a reason; permissions are looked at again now and then."""
        if self._got_on:
            self.progressed()
        if self.stopping():
            return STOPPING
        if time.monotonic() - self._looked > _LOOK_AGAIN_SECONDS:
            self._look()
        return self.services.exports.wish(self.export.id)

    def _stopped(self) -> bool:
        return bool(self._control())

    @property
    def _got_on(self) -> bool:
        return self._transfer is not None and self._transfer.ended > 0

    # --------------------------------------------------------------------------------------------------- ending
    def _wait(self, error: TransientError) -> str:
        """Say what the job waits for, and raise; after long enough, a person is asked."""
        if self.stopping():
            return STOPPING
        if self.services.exports.wish(self.export.id):
            return self._end("running")
        if self.delays >= _PATIENCE and not self._got_on:
            return self._end("paused", f"{error}, for a long time: look after it, then resume.")
        self.services.exports.trouble(self.export.id, f"{error}; it is tried again.")
        raise error

    def _end(self, state: str, reason: str | None = None) -> str:
        now = self.services.exports.end(self.export.id, state, reason)
        self._note(now or state)
        if now in ("done", "failed", "paused"):
            self.services.notifier.tell(self.services.exports.read(self.export.id))
        return now or state

    def _note(self, phase: str) -> None:
        """Write a row of the audit trail; without it nothing leaves."""
        export = self.services.exports.read(self.export.id)
        self.services.audit.append(
            {
                "action": "export",
                "phase": phase,
                "user": export.user,
                "purpose": export.purpose,
                "export": export.id,
                "query": export.query,
                "destination": export.destination.url,
                "counts": {"instances": export.instances, "sent": export.sent, "failed": export.failed},
                "bytes": export.bytes,
                "reason": export.reason,
            }
        )
