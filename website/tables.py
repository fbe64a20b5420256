"""Rows as CSV and as JSON Lines, streamed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from common.web import safe_cell


def stream_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield a table (RFC 4180, UTF-8 with a byte order mark, which spreadsheets want), header first.

    Cells that a spreadsheet would take for a formula are neutralised; several values of an element are joined by
    backslashes, as DICOM does.
    """
    yield b"\xef\xbb\xbf"
    yield _line(columns)
    for row in rows:
        yield _line([safe_cell(_text(row.get(column))) for column in columns])


def stream_json_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield one JSON object per row, with the columns as keys."""
    for row in rows:
        yield json.dumps({column: row.get(column) for column in columns}, ensure_ascii=False).encode() + b"\n"


def _line(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "\\".join(_text(each) for each in value)
    return "" if value is None else str(value)
