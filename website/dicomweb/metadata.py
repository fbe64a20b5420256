"""Metadata of instances in the DICOM JSON model, from Orthanc, of permitted instances alone.

The index keeps texts: numbers as Python writes them, no private element of unknown VR, no place of bulk data. Metadata
must be whole, so Orthanc's DICOMweb makes it, which reads each file. What it answers is taken apart while it arrives,
instance by instance, so that it needs no memory; what is not permitted is dropped before it is looked at further; and
what is left is kept compressed, under the versions of the instances that it is made of.
"""

from __future__ import annotations

import codecs
import json
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from common.errors import InvalidDicomError
from common.orthanc import Orthanc
from website.dicomweb.members import Member, version_of

PLACEHOLDER = "portal.invalid"
"""The host that Orthanc is told it has; the answer says the real address in its stead."""
_FORWARDED = {"Forwarded": f"host={PLACEHOLDER};proto=https", "Accept": "application/dicom+json"}
_ROOT = f"https://{PLACEHOLDER}/dicom-web".encode()
_READ = 128 << 10
_MOST_READ = 8 << 20
_AT_ONCE = 1 << 20
_UID, _SPACING = "00080018", "00280030"


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
        """Return the object of one instance."""
        path = f"/dicom-web/studies/{study}/series/{member.series_uid}/instances/{member.uid}/metadata"
        with self._orthanc.stream(path, _FORWARDED) as answer:
            found = list(_permitted(_read_array(answer.stream(_READ)), {member.uid}))
        return b",".join(found).replace(_ROOT, root.encode())

    def _fetch(self, study: str, members: Sequence[Member], key: str) -> Iterator[bytes]:
        kept: list[bytes] = []
        permitted = {member.uid for member in members}
        path = f"/dicom-web/studies/{study}/series/{members[0].series_uid}/metadata"
        with self._orthanc.stream(path, _FORWARDED) as answer:
            objects = _permitted(_read_array(answer.stream(_READ)), permitted)
            for piece in _join(objects):
                kept.append(zlib.compress(piece, 1))
                yield piece
        self._cache.keep(key, kept)


def _permitted(objects: Iterable[tuple[str, Any]], uids: set[str]) -> Iterator[bytes]:
    """Drop what is not permitted, and write the rest as it came, but for what viewers cannot bear."""
    for text, parsed in objects:
        uid = (parsed.get(_UID, {}).get("Value") or [""])[0]
        if uid not in uids:
            continue
        # A pixel spacing of zero, which some devices write, makes OHIF show black.
        spacing = parsed.get(_SPACING, {}).get("Value")
        if spacing and not all(isinstance(each, int | float) and each > 0 for each in spacing):
            del parsed[_SPACING]
            text = json.dumps(parsed, ensure_ascii=False)
        yield text.encode()


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


def _read_array(chunks: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    """Take a JSON array apart while it arrives; yields each element's text and value.

    Raises
    ------
    InvalidDicomError
        It is no array, or it breaks off.
    """
    decode, parse = codecs.getincrementaldecoder("utf-8")(errors="replace").decode, json.JSONDecoder().raw_decode
    text, at, wanted = "", 0, 1
    for chunk in chunks:
        text = text[at:] + decode(chunk)
        at = 0
        if len(text) < wanted:
            continue  # so that one large object is not parsed again with every chunk
        while True:
            start = at
            while start < len(text) and text[start] in "[, \r\n\t":
                start += 1
            try:
                value, end = parse(text, start)
            except ValueError:
                wanted = min(2 * (len(text) - at), len(text) - at + _MOST_READ)
                break
            yield text[start:end], value
            at, wanted = end, 1
            if text[end : end + 1] == "]":
                return
    yield from _rest(text[at:])


def _rest(text: str) -> Iterator[tuple[str, Any]]:
    """Read what was still waiting at the end."""
    try:
        values = json.loads("[" + text.strip().lstrip("[,") if text.strip() else "[]")
    except ValueError as exc:
        raise InvalidDicomError("the metadata is no whole JSON array") from exc
    for value in values:
        yield json.dumps(value, ensure_ascii=False), value
