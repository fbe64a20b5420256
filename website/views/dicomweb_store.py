"""DICOMweb: storing instances (PS3.18 10.5), for profiles that say ``Store: true``."""

from __future__ import annotations

import json

from flask import Blueprint, Response, request

from common.errors import QueryError
from website.audit_requests import AccessRecord
from website.context import services
from website.dicomweb.answers import DICOM_JSON, current_root
from website.dicomweb.media_types import read_media_type
from website.dicomweb.multipart import MultipartReader
from website.guard import requires

blueprint = Blueprint("dicomweb_store", __name__, url_prefix="/dicom-web")


@blueprint.post("/studies")
@requires("store", same_origin=True, large_body=True)
def store_instances() -> Response:
    """Store the instances of a multipart."""
    return _store("")


@blueprint.post("/studies/<uid:study_uid>")
@requires("store", same_origin=True, large_body=True)
def store_study(study_uid: str) -> Response:
    """Store the instances of a multipart that are of this study."""
    return _store(study_uid)


def _store(study_uid: str) -> Response:
    kind, options = read_media_type(request.headers.get("Content-Type", ""))
    inner = options.get("type", "application/dicom")
    if kind != "multipart/related" or inner != "application/dicom" or not options.get("boundary"):
        raise QueryError("send multipart/related; type=application/dicom, with a boundary")
    answer = services().dicomweb.store.store(MultipartReader(request.stream, options["boundary"]).parts(), study_uid)
    AccessRecord.current().note(counts={"stored": len(answer.stored), "refused": len(answer.failed)})
    body = json.dumps(answer.as_json(current_root()))
    return Response(body, status=answer.status, mimetype=DICOM_JSON)
