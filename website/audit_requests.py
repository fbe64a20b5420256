"""One request in the audit trail: a row committed before the first byte of the answer, a second when it is over."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flask import Flask, Response, g, request, session

from common.auth.identity import Identity
from common.log import cut_secrets
from website.context import services
from website.dicomweb.minutes import Key

_MAX_OBJECTS = 1000


class AccessRecord:
    """What is known of the request so far; views add to it with :meth:`note`."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._started = time.monotonic()
        self._begun = False
        self._minute: Key | None = None
        self._notes: dict[str, Any] = {}
        self.bytes = 0

    @staticmethod
    def current() -> AccessRecord:
        """Return the record of this request."""
        if "audit" not in g:
            g.audit = AccessRecord()
        record: AccessRecord = g.audit
        return record

    def note(
        self,
        *,
        query: str | None = None,
        english: str | None = None,
        objects: Iterable[str] | None = None,
        counts: Mapping[str, int] | None = None,
        **details: Any,
    ) -> None:
        """Add what a view knows: it goes into the second row, also while the answer is being streamed.

        Parameters
        ----------
        query, english
            The query as typed, and in English.
        objects
            Orthanc's identifiers of what is handed out; the first 1000, ``counts`` has the number.
        counts
            How many patients, studies, series, instances.
        """
        given = {"query": query, "english": english, "counts": dict(counts) if counts is not None else None}
        self._notes |= {key: value for key, value in given.items() if value is not None} | details
        if objects is not None:
            known = self._notes.setdefault("objects", [])
            known += list(objects)[: _MAX_OBJECTS - len(known)]

    def begin(self) -> None:
        """Commit the first row; without it, no data.

        Raises
        ------
        DatabaseUnavailableError, StatementError
            It cannot be committed: the request fails.
        """
        services().audit.append({**self._who(), "phase": "begin"})
        self._begun = True

    def begin_minute(self, study: str) -> None:
        """Commit the first row of this user, study and minute, unless it is there; without it, no data.

        Raises
        ------
        DatabaseUnavailableError, StatementError
            It cannot be committed: the request fails.
        """
        who = {key: value for key, value in self._who().items() if key not in ("path", "arguments", "method")}
        credential = str(who["token"] or who.get("link") or "")
        self._minutes = services().minutes
        self._minute = self._minutes.begin(str(who["user"]), credential, study, who)

    def refused(self, reason: str) -> None:
        """Append that a claim to be somebody, or to be allowed something, was refused."""
        self._notes["refused"] = reason

    def logged_in(self, identity: Identity) -> None:
        """Append that a login was verified: a row of its own, before the answer."""
        who = {**self._who(), "user": identity.user, "groups": identity.groups}
        services().audit.append({**who, "phase": "login", "login": identity.method})

    def freeze(self) -> None:
        """Keep what the request says, for :meth:`finish`, which may run after the request is gone."""
        self._frozen = self._who()
        self._audit, self._access_log = services().audit, services().access_log

    def finish(self, status: int) -> None:
        """Append the second row and the line of the access log."""
        duration = round((time.monotonic() - self._started) * 1000)
        objects = [*self._frozen["objects"], *self._notes.pop("objects", [])]
        done = {"objects": objects, "status": status, "milliseconds": duration, "bytes": self.bytes}
        entry = {**self._frozen, **self._notes, **done}
        self._access_log.write(entry)
        if self._minute is not None:
            counts = {"requests": 1, "bytes": self.bytes, **self._notes.get("counts", {})}
            self._minutes.end(self._minute, counts if status < 400 else {"requests": 1, f"status {status}": 1})
        if self._begun or "refused" in self._notes:
            self._audit.append_later({**entry, "phase": "end"})

    def count(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Hand on the body of an answer, counting; closes it when the client goes away."""
        try:
            for chunk in chunks:
                self.bytes += len(chunk)
                yield chunk
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    def _who(self) -> dict[str, Any]:
        access, token = g.get("access"), g.get("token")
        return {
            "request": self.id,
            "user": access.user if access else None,
            "groups": access.groups if access else [],
            "profiles": [profile.name for profile in access.profiles] if access else [],
            "token": token.id if token else None,
            "purpose": token.purpose if token else g.link.purpose if "link" in g else session.get("purpose"),
            "address": request.remote_addr,
            "action": request.endpoint or "none",
            "method": request.method,
            "path": cut_secrets(request.path),
            # Before a login they hold the provider's one-time code.
            "arguments": cut_secrets(request.query_string.decode("latin-1")) if access else "",
            "objects": [cut_secrets(str(value)) for value in (request.view_args or {}).values()],
            **({"link": g.link.id} if "link" in g else {}),
        }


def install_audit(app: Flask) -> None:
    """Finish the record of every request when its answer was handed out, or broke off."""

    @app.after_request
    def finish_later(response: Response) -> Response:
        record = AccessRecord.current()
        record.freeze()
        if response.is_streamed:
            # Passed through, an answer is closed by nobody: neither the file behind it nor this record.
            response.direct_passthrough = False
            if hasattr(response.response, "close"):
                response.call_on_close(response.response.close)
            response.response = record.count(response.iter_encoded())
        else:
            record.bytes = response.calculate_content_length() or 0
        response.call_on_close(lambda: record.finish(response.status_code))
        return response
