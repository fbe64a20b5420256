"""What is indexed of an instance: whose it is, its values by path, and the tree that they came from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.dicom_elements import Element, elements_of
from common.dicom_scan import Scan, scan
from common.tags import TagPath, format_tag

ITEM = "(item)"
"""The text that stands for an item of a sequence, as in :meth:`common.dicom_dataset.DataSet.texts`."""
_ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
_PARENTS = (0x00100020, 0x0020000D, 0x0020000E, 0x00080018)


@dataclass(frozen=True)
class InstanceIds:
    """Orthanc's identifiers of an instance and what holds it."""

    instance: str
    series: str
    study: str
    patient: str

    @classmethod
    def of(cls, scanned: Scan) -> InstanceIds:
        """Compute them as Orthanc does: SHA-1 of PatientID and the UIDs down to the level (Orthanc Book)."""
        uids = [scanned.text(tag) for tag in _PARENTS]
        patient, study, series, instance = (orthanc_id("|".join(uids[: level + 1])) for level in range(4))
        return cls(instance, series, study, patient)


def orthanc_id(text: str) -> str:
    """Write the SHA-1 of a text as Orthanc does: five groups of eight hexadecimal digits."""
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, 40, 8))


def pack_id(identifier: str) -> bytes:
    """Return the 20 bytes of an identifier of Orthanc.

    Raises
    ------
    ValueError
        It is none.
    """
    if not _ORTHANC_ID.fullmatch(identifier):
        raise ValueError("not an identifier of Orthanc")
    return bytes.fromhex(identifier.replace("-", ""))


def unpack_id(packed: bytes | memoryview) -> str:
    """Return the identifier of 20 bytes."""
    digest = bytes(packed).hex()
    return "-".join(digest[at : at + 8] for at in range(0, 40, 8))


@dataclass(frozen=True)
class IndexDocument:
    """One instance; a source of values for :func:`common.query.match`.

    Parameters
    ----------
    ids
        Whose it is.
    texts
        The texts at each path (hexadecimal tags joined by dots), over all items.
    shape
        The tree without the texts, as JSON; see :func:`_shape`.
    """

    ids: InstanceIds
    texts: Mapping[str, tuple[str, ...]]
    shape: str

    def values(self, path: TagPath) -> Sequence[str] | None:
        """Return the texts of an element, over all items; None where it is absent."""
        return self.texts.get(format_path(path))

    @property
    def elements(self) -> tuple[Element, ...]:
        """The tree of elements, whole."""
        rest = {path: iter(texts) for path, texts in self.texts.items()}
        return tuple(_restore(json.loads(self.shape), "", rest))


def build_document(ids: InstanceIds | None, data: Scan | bytes) -> IndexDocument:
    """Make the document of a DICOM file; without identifiers, they are computed as Orthanc does.

    Raises
    ------
    InvalidDicomError
        It is not DICOM, or damaged.
    """
    scanned = data if isinstance(data, Scan) else scan(data)
    return document_of(ids or InstanceIds.of(scanned), elements_of(scanned))


def document_of(ids: InstanceIds, elements: Sequence[Element]) -> IndexDocument:
    """Make the document of a tree of elements."""
    texts: dict[str, list[str]] = {}
    shape = _shape(elements, "", texts)
    return IndexDocument(
        ids, {path: tuple(found) for path, found in texts.items()}, json.dumps(shape, separators=(",", ":"))
    )


def format_path(path: TagPath) -> str:
    """Write a path as hexadecimal tags joined by dots, as the index keeps it."""
    return ".".join(map(format_tag, path))


def _shape(elements: Sequence[Element], above: str, texts: dict[str, list[str]]) -> list[list[Any]]:
    """Take the texts out of a tree.

    An element is ``[tag, VR, number of texts]``, of a name with the number of groups of each value beside it; of a
    sequence ``[tag, VR, [item, …]]``.
    """
    shape: list[list[Any]] = []
    for element in elements:
        tag = format_tag(element.tag)
        path = above + tag
        found = texts.setdefault(path, [])
        if element.items is not None:
            found.extend([ITEM] * len(element.items))
            shape.append([tag, element.vr, [_shape(item, path + ".", texts) for item in element.items]])
            continue
        found.extend(element.texts)
        counts = [len(element.texts), *([list(element.groups)] if len(element.groups) > 1 else [])]
        shape.append([tag, element.vr, *counts])
    return shape


def _restore(shape: list[list[Any]], above: str, rest: dict[str, Iterator[str]]) -> Iterator[Element]:
    """Put the texts back into a tree, in the order in which :func:`_shape` took them."""
    for tag, vr, count, *groups in shape:
        path = above + tag
        if isinstance(count, list):
            yield Element(int(tag, 16), vr, items=tuple(tuple(_restore(item, path + ".", rest)) for item in count))
            continue
        texts = tuple(next(rest[path]) for _ in range(count))
        single = (count,) if vr == "PN" and count else ()
        yield Element(int(tag, 16), vr, texts, tuple(groups[0]) if groups else single)
