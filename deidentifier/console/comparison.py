"""An original beside what the rules make of it, element by element."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from common.errors import InvalidDicomError
from common.tags import format_tag, keyword_of

_LONGEST = 300
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


@dataclass(frozen=True)
class Row:
    """One element on both sides; None where a side lacks it."""

    path: str
    name: str
    vr: str
    before: str | None
    after: str | None

    @property
    def change(self) -> str:
        """``same``, ``changed``, ``removed`` or ``added``."""
        if self.before == self.after:
            return "same"
        if self.after is None:
            return "removed"
        return "added" if self.before is None else "changed"


def compare(before: bytes, after: bytes | None) -> list[Row]:
    """Line up the elements of two files, in the order of their paths; without a result, only the original's.

    Raises
    ------
    InvalidDicomError
        One of them cannot be read.
    """
    left = dict(_elements(_read(before)))
    right = dict(_elements(_read(after))) if after is not None else {}
    rows = []
    for path in sorted({*left, *right}):
        element = left.get(path) or right.get(path)
        name, vr, _ = element or ("", "", "")
        rows.append(
            Row(path, name, vr, left[path][2] if path in left else None, right[path][2] if path in right else None)
        )
    return rows


def _read(data: bytes) -> Dataset:
    try:
        file = pydicom.dcmread(io.BytesIO(data), force=True)
        combined = Dataset()
        combined.update({element.tag: element for element in file.file_meta})
        combined.update(file)
    except (ValueError, EOFError, AttributeError, KeyError, NotImplementedError) as exc:
        raise InvalidDicomError("the file cannot be read") from exc
    return combined


def _elements(dataset: Dataset, prefix: str = "") -> Iterator[tuple[str, tuple[str, str, str]]]:
    for element in dataset:
        path = prefix + format_tag(int(element.tag))
        name = keyword_of(int(element.tag)) or "private" * element.tag.is_private
        if element.VR == "SQ":
            yield path, (name, "SQ", f"{len(element.value or [])} items")
            for number, item in enumerate(element.value or []):
                yield from _elements(item, f"{path}[{number}].")
        else:
            yield path, (name, str(element.VR), _text(element))


def _text(element: DataElement) -> str:
    if element.VR in _BULK or isinstance(element.value, bytes):
        return f"{len(element.value or b'')} bytes"
    value = element.value
    text = "\\".join(str(part) for part in value) if element.VM > 1 else str(value if value is not None else "")
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
