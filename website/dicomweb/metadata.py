"""Metadata of instances in the DICOM JSON model, from Orthanc, of permitted instances alone.

The index keeps texts: numbers as Python writes them, no private element of unknown VR, no place of bulk data. Metadata
must be whole, so Orthanc's DICOMweb makes it, which reads each file. A series of which everything is permitted is asked
for at once, and handed on as it comes, gzipped, after it was found to hold these instances and no other. Of any other
series, each permitted instance is asked for by itself, a few at a time. What was made is kept compressed, under the
versions of the instances that it is made of.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
import zlib
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from common.errors import NotFoundError
from common.orthanc import Orthanc
from website.dicomweb.members import Member, version_of

PLACEHOLDER = "portal.invalid"
"""The host that Orthanc is told it has; the answer says the real address in its stead."""
_JSON = {"Accept": "application/dicom+json"}
_FORWARDED = {"Forwarded": f"host={PLACEHOLDER};proto=https", **_JSON}
_ROOT = f"https://{PLACEHOLDER}/dicom-web".encode()
_AT_ONCE = 1 << 20
_THREADS = 6
_AHEAD = 24
_MOST_WHOLE = 1000
"""Of larger series, each instance by itself: the memory for one answer stays bounded."""
_UIDS = re.compile(rb'"00080018"\s*:\s*\{[^{}]*"Value"\s*:\s*\[\s*"([0-9.]+)"')
_SPACING = "00280030"
_SPACINGS = re.compile(rb'"00280030"\s*:\s*\{[^{}]*\}')
_NOT_POSITIVE = re.compile(rb"[\[,]\s*(-[^,\]]*|0*\.?0*|null)\s*(?=[,\]])")


class MetadataCache:
    """Keeps metadata of whole series, compressed, up to ``limit`` bytes. Safe to share between threads."""

    def __init__(self, limit: int = 48 << 20) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: str) -> tuple[bytes, ...] | None:
        """Return the compressed pieces kept under a key."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: str, pieces: Sequence[bytes]) -> None:
        """Keep pieces, and forget those not used for longest."""
        size = sum(map(len, pieces))
        if size > self._limit // 4:
            return
        with self._lock:
            if key not in self._kept:
                self._kept[key] = tuple(pieces)
                self._size += size
            while self._size > self._limit:
                _, forgotten = self._kept.popitem(last=False)
                self._size -= sum(map(len, forgotten))


class Metadata:
    """Gives metadata of permitted instances of one Orthanc."""

    def __init__(self, orthanc: Orthanc) -> None:
        self._orthanc = orthanc
        self._cache = MetadataCache()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="metadata")

    def whole(self, study: str, members: Sequence[Member], base: str) -> bytes | None:
        """Return the gzipped array of a series, where Orthanc has these instances of it and no other.

        Parameters
        ----------
        base
            Scheme and host of the portal as the client knows it, for the URLs in the answer.
        """
        if len(members) > _MOST_WHOLE or len({member.series_id for member in members}) != 1:
            return None
        key = f"{base} {members[0].series_id} {version_of(members)}"
        kept = self._cache.find(key)
        if kept is None:
            try:
                made = self._ask_whole(study, members, base)
            except NotFoundError:
                return None
            if made is None:
                return None
            kept = (made,)
            self._cache.keep(key, kept)
        return kept[0]

    def _ask_whole(self, study: str, members: Sequence[Member], base: str) -> bytes | None:
        permitted = {member.id: member.uid for member in members}
        listed = self._orthanc.get_json(f"/series/{members[0].series_id}")["Instances"]
        if not permitted.keys() >= set(listed):
            return None  # more than is permitted, or than the index knows yet
        scheme, _, host = base.partition("://")
        headers = {**_JSON, "Forwarded": f"host={host};proto={scheme}", "Accept-Encoding": "gzip"}
        path = f"/dicom-web/studies/{study}/series/{members[0].series_uid}/metadata"
        with self._orthanc.stream(path, headers) as answer:
            data = answer.read(decode_content=False)
            packed = data if answer.headers.get("Content-Encoding") == "gzip" else gzip.compress(data, 1)
        text = gzip.decompress(packed)
        # What came in the meantime is not handed out either: the answer holds the instances that were listed.
        if {uid.decode() for uid in _UIDS.findall(text)} != {permitted[each] for each in listed}:
            return None
        return None if _has_bad_spacing(text) else packed

    def series(self, study: str, members: Sequence[Member], root: str) -> Iterator[bytes]:
        """Yield the objects of some instances of one series, joined by commas.

        Parameters
        ----------
        root
            The address of DICOMweb as the client knows it, for the URLs in the answer.
        """
        key = f"{members[0].series_id} {version_of(members)}"
        pieces = self._cache.find(key)
        made = map(zlib.decompress, pieces) if pieces is not None else self._fetch(study, members, key)
        return (piece.replace(_ROOT, root.encode()) for piece in made)

    def instance(self, study: str, member: Member, root: str) -> bytes:
        """Return the object of one instance; raises ``NotFoundError`` where Orthanc has it no more."""
        return self._one(study, member).replace(_ROOT, root.encode())

    def _fetch(self, study: str, members: Sequence[Member], key: str) -> Iterator[bytes]:
        kept: list[bytes] = []
        for piece in _join(self._objects(study, members)):
            kept.append(zlib.compress(piece, 1))
            yield piece
        self._cache.keep(key, kept)

    def _objects(self, study: str, members: Sequence[Member]) -> Iterator[bytes]:
        """Yield the objects in order, a few of them asked for in advance; instances that are gone are left out."""
        waiting: deque[Future[bytes]] = deque()
        for member in members:
            waiting.append(self._pool.submit(self._one_or_none, study, member))
            if len(waiting) > _AHEAD:
                yield from filter(None, [waiting.popleft().result()])
        for each in waiting:
            yield from filter(None, [each.result()])

    def _one_or_none(self, study: str, member: Member) -> bytes:
        try:
            return self._one(study, member)
        except NotFoundError:
            return b""

    def _one(self, study: str, member: Member) -> bytes:
        path = f"/dicom-web/studies/{study}/series/{member.series_uid}/instances/{member.uid}/metadata"
        with self._orthanc.stream(path, _FORWARDED) as answer:
            return _without_bad_spacing(answer.read().strip().removeprefix(b"[").removesuffix(b"]"))


def _has_bad_spacing(data: bytes) -> bool:
    return any(_NOT_POSITIVE.search(each) for each in set(_SPACINGS.findall(data)))


def _without_bad_spacing(data: bytes) -> bytes:
    """Drop a pixel spacing of zero, which some devices write: it makes OHIF show black."""
    if not _has_bad_spacing(data):
        return data
    parsed = json.loads(data)
    values = parsed.get(_SPACING, {}).get("Value") or []
    if not all(isinstance(each, int | float) and each > 0 for each in values):
        del parsed[_SPACING]
    return json.dumps(parsed, ensure_ascii=False).encode()


def _join(objects: Iterable[bytes]) -> Iterator[bytes]:
    """Join objects by commas into pieces of about a megabyte."""
    waiting: list[bytes] = []
    size, begun = 0, False
    for each in objects:
        waiting.append(each)
        size += len(each)
        if size >= _AT_ONCE:
            yield (b"," if begun else b"") + b",".join(waiting)
            waiting, size, begun = [], 0, True
    if waiting:
        yield (b"," if begun else b"") + b",".join(waiting)
