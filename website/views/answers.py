"""Answers that several views give."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Response, request

from website.element_json import stream_dicom_json, stream_search_result
from website.index import IndexDocument

DICOM_JSON = "application/dicom+json"


def wants_dicom_json() -> bool:
    """Tell whether the request asks for the DICOM JSON model (PS3.18 F) rather than for element documents."""
    return DICOM_JSON in (accepted.lower() for accepted in request.accept_mimetypes.values())


def elements_answer(found: Iterable[tuple[int, IndexDocument]]) -> Response:
    """Stream elements in the shape that the request asks for."""
    if wants_dicom_json():
        return Response(stream_dicom_json(found), mimetype=DICOM_JSON)
    return Response(stream_search_result(found), mimetype="application/json")
