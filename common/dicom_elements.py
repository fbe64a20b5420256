"""A data set as a tree of texts: what is indexed, searched and shown, without its bulk data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from common.dicom_dataset import DataSet
from common.dicom_dataset import Element as Scanned
from common.dicom_scan import Scan
from common.dicom_text import decode_text, split_values
from common.query.texts import clean


@dataclass(frozen=True)
class Element:
    """One data element.

    Parameters
    ----------
    tag, vr
        As in the data set.
    texts
        Of its values, as the query language compares them; of a sequence none.
    groups
        For PN: how many component groups each value has; empty otherwise. The texts are the alphabetic groups of all
        values, then the other groups.
    items
        Of a sequence; None for other elements.
    """

    tag: int
    vr: str
    texts: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    items: tuple[tuple[Element, ...], ...] | None = None

    def values(self) -> list[tuple[str, ...]]:
        """Return the texts value by value; several only for a person's name."""
        if not self.groups:
            return [(text,) for text in self.texts]
        first, others = self.texts[: len(self.groups)], iter(self.texts[len(self.groups) :])
        return [(text, *islice(others, size - 1)) for text, size in zip(first, self.groups, strict=True)]


def elements_of(scan: Scan) -> tuple[Element, ...]:
    """Return the elements of a scanned file in its order, file meta information first.

    Raises
    ------
    InvalidDicomError
        A sequence is damaged.
    """
    return (*(_elements(scan.meta) if scan.meta else ()), *_elements(scan.dataset))


def _elements(dataset: DataSet) -> Iterator[Element]:
    last = -1
    for scanned in dataset.elements:
        tag = scanned[0].tag
        # Group lengths are no part of the data set (PS3.5 7.2); of an element that stands twice the first counts.
        if tag & 0xFFFF and tag != last:
            yield _element(dataset, scanned)
        last = tag


def _element(dataset: DataSet, scanned: Scanned) -> Element:
    head = scanned[0]
    if head.vr == "SQ":
        return Element(head.tag, "SQ", items=tuple(tuple(_elements(item)) for item in dataset.items(scanned)))
    texts = tuple(map(clean, dataset.texts(scanned)))
    groups = _groups(dataset, scanned, len(texts)) if head.vr == "PN" and texts else ()
    return Element(head.tag, head.vr, texts, groups)


def _groups(dataset: DataSet, scanned: Scanned, texts: int) -> tuple[int, ...]:
    """Count the component groups of each name (PS3.5 6.2.1), as :func:`common.dicom_text.decode_values` orders them."""
    raw = dataset.raw(scanned)
    if b"\\" not in raw:
        return (texts,)
    names = split_values(decode_text(raw, dataset.encodings), "PN")
    return tuple(1 + sum(1 for group in name.split("=")[1:] if group) for name in names)
