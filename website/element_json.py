"""Elements of many instances as JSON, streamed (doc/reference/json.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from common.dicom_json import dicom_json, element_document
from website.index import IndexDocument


def stream_search_result(found: Iterable[tuple[int, IndexDocument]]) -> Iterator[bytes]:
    """Yield ``{"Series": [{"SeriesId", "Instances": [{"InstanceId", "IndexInSeries", "InstanceJSON"}]}]}``.

    ``found`` holds places in series and documents, those of a series together.
    """
    yield b'{"Series": ['
    for place, (series, members) in enumerate(groupby(found, key=lambda each: each[1].ids.series)):
        yield b'%s{"SeriesId": %s, "Instances": [' % (b",\n" if place else b"\n", _json(series))
        for number, (index, document) in enumerate(members):
            entry = {
                "InstanceId": document.ids.instance,
                "IndexInSeries": index,
                "InstanceJSON": element_document(document.elements),
            }
            yield (b",\n" if number else b"\n") + _json(entry)
        yield b"]}"
    yield b"]}\n"


def stream_dicom_json(found: Iterable[tuple[int, IndexDocument]]) -> Iterator[bytes]:
    """Yield an array of data sets in the DICOM JSON model (PS3.18 F)."""
    yield b"["
    for number, (_, document) in enumerate(found):
        yield (b",\n" if number else b"\n") + _json(dicom_json(document.elements))
    yield b"]\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
