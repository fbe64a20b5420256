"""Asking for an export: what was given is read, counted, tried out and queued; the same from page, API and terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from common.errors import RefusedError, ResearchPacsError
from common.orthanc import Orthanc
from common.query import Node, all_of, describe, format_query, parse
from website.exports.bucket import Bucket
from website.exports.choices import Choices, read_choices
from website.exports.credentials import Keys, RoleSource, read_keys, session_of
from website.exports.destinations import Destination, DestinationsFile, read_destination
from website.exports.endpoints import Endpoints
from website.exports.export import NewExport
from website.exports.keys import ENDINGS, IDENTITY, Identity, base_key
from website.exports.notify import Notifier
from website.exports.store import Exports
from website.index import Index
from website.permissions import Access

_SAMPLES = 8
_PREVIEW = 5
_MOST_QUERY = 10_000
# Bytes of a picture for each byte of stored pixels; measured on the sample files, good for a first idea.
_RATIOS = {"png": 0.6, "png-windowed": 0.3, "jpeg": 0.12, "transcoded": 1.0, "dicom": 1.0, "json": 0.0}
_ELEMENTS_BYTES = 8_000


@dataclass(frozen=True)
class Requests:
    """What asking takes."""

    exports: Exports
    index: Index
    orthanc: Orthanc
    destinations: DestinationsFile
    endpoints: Endpoints
    roles: RoleSource
    notifier: Notifier
    most_open: int = 50

    def make(self, access: Access, given: Mapping[str, Any], purpose: str | None) -> str:
        """Queue an export after its destination was tried out; returns its identifier.

        Parameters
        ----------
        access
            Of the user who asks; the query is restricted to what it lets export.
        given
            ``query``, and what :func:`read_choices`, :func:`read_destination` and :func:`read_keys` read.

        Raises
        ------
        QueryError, RefusedError, StorageUnavailableError
            Something given is wrong, not allowed, or the bucket does not let us write.
        """
        if self.exports.count_open(access.user) >= self.most_open:
            raise RefusedError(f"nobody has more than {self.most_open} exports that wait or run: cancel some first")
        query = str(given.get("query") or "").strip()
        if len(query) > _MOST_QUERY:
            raise RefusedError(f"a query has at most {_MOST_QUERY:,} characters")
        tree = parse(query)
        counts = self.index.count(all_of([tree, access.export]))
        if not counts.instances:
            raise RefusedError("the query finds nothing that you may export")
        choices = read_choices(given)
        destination = read_destination(
            given, self.endpoints, self.destinations.of_user(access.user, access.destinations)
        )
        keys = read_keys(given) if destination.kind == "keys" else None
        notify = self.notifier.check_address(str(given.get("notify") or ""))
        self.try_out(access.user, purpose, destination, keys)
        new = NewExport(
            access.user,
            query,
            describe(tree),
            format_query(access.export),
            vars(counts),
            choices,
            destination,
            purpose,
            notify,
        )
        return self.exports.add(new, keys)

    def try_out(self, user: str, purpose: str | None, destination: Destination, keys: Keys | None) -> None:
        """Write a tiny object and delete it; raises what the user has to know where that is not possible."""
        external_id = self.exports.external_id(user, purpose) if destination.role_arn else ""
        try:
            bucket = Bucket(
                destination, session_of(destination, keys, self.roles, external_id), connections=1, patient=False
            )
            try:
                bucket.probe()
            finally:
                bucket.close()
        except ResearchPacsError as exc:
            raise type(exc)(f"access to {destination.url} was tested, and failed: {exc}") from exc

    def preview(self, tree: Node, access: Access, choices: Choices) -> list[str]:
        """Return the first keys below the prefix."""
        hits = self.index.instances(all_of([tree, access.export]), documents=True, only=IDENTITY)
        found = [Identity.of(hit.document) for hit in islice(hits, _PREVIEW) if hit.document is not None]
        ending = ENDINGS[choices.format]
        keys = []
        for each in found:
            key = base_key(each, choices)
            keys += [key + ending] if ending else []
            keys += [f"{key}.json"] if choices.needs_elements else []
        return keys

    def estimate(self, tree: Node, access: Access, choices: Choices, instances: int) -> int:
        """Return about how many bytes an export has, from the sizes of some instances spread over its series."""
        rows = self.index.page(all_of([tree, access.export]), "series", limit=200).rows
        picked = rows[:: max(1, len(rows) // _SAMPLES)][:_SAMPLES]
        sizes = [(self._size(tree, access, str(row.series)), row.instance_count) for row in picked]
        known = [(size, weight) for size, weight in sizes if size]
        weights = sum(weight for _, weight in known)
        mean = sum(size * weight for size, weight in known) / weights if weights else 0
        beside = _ELEMENTS_BYTES if choices.needs_elements else 0
        return round(instances * (mean * _RATIOS[choices.format] + beside))

    def _size(self, tree: Node, access: Access, series: str) -> int:
        """Return the bytes of one instance of a series, 0 where nobody can say."""
        try:
            members: Sequence[str] = self.orthanc.get_json(f"/series/{series}")["Instances"]
            permitted = next(
                (each for each in members[:3] if self.index.permitted(each, all_of([tree, access.export]))), None
            )
            if permitted is None:
                return 0
            return int(self.orthanc.get_json(f"/instances/{permitted}/attachments/dicom/size"))
        except (ResearchPacsError, KeyError, ValueError):
            return 0
