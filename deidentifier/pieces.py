"""The pieces that a new data set is joined from: untouched byte ranges of the original, and what rules wrote.

They are put together at the end, innermost sequences first, as lengths depend on what is inside.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.dicom_dataset import DataSet, Element, Item
from common.dicom_head import ITEM
from deidentifier.element import ElementInWork

_UNDEFINED = b"\xff\xff\xff\xff"
_DELIMITER = 8


@dataclass(frozen=True)
class SequenceInWork:
    """A sequence with items in which something happens."""

    dataset: DataSet
    element: Element
    items: list[tuple[Item, list[Piece] | None]]

    def written(self) -> bytes:
        """Return the bytes of the sequence; lengths that were defined are defined again."""
        data = self.dataset.scan.data
        head, start, value, end = self.element
        body = b"".join(_written_item(item, pieces) for item, pieces in self.items)
        if data[value - 4 : value] == _UNDEFINED:
            return data[start:value] + body + data[end - _DELIMITER : end]
        return self.dataset.syntax.with_length(data, start, head, len(body)) + body


_READY = (memoryview, bytes)
Piece = bytes | memoryview | ElementInWork | SequenceInWork


def piece_bytes(piece: Piece) -> bytes | memoryview:
    """Return the bytes of a piece."""
    return piece if isinstance(piece, _READY) else piece.written()


def join(pieces: list[Piece]) -> bytes:
    """Return the bytes of pieces."""
    return b"".join(map(piece_bytes, pieces))


def _written_item(item: Item, pieces: list[Piece] | None) -> bytes:
    data = item.scan.data
    if pieces is None:
        return data[item.header : item.after]
    body = join(pieces)
    if item.after != item.end:
        return data[item.header : item.start] + body + data[item.end : item.after]
    return item.syntax.write_item_header(ITEM, len(body)) + body
