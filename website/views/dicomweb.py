"""DICOMweb under ``/dicom-web/``: searches, metadata and whole instances (PS3.18 10.4, 10.6)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, request

from common.errors import NotFoundError
from common.query import describe
from website.audit_requests import AccessRecord
from website.context import current_access, services
from website.dicomweb.answers import compressed, current_base, current_root, gzipped, json_answer, not_modified, started
from website.dicomweb.files import file_parts, file_syntax
from website.dicomweb.media_types import NotAcceptableError, accepts, read_accept
from website.dicomweb.members import Member, Members, version_of
from website.dicomweb.multipart import MultipartWriter
from website.dicomweb.search import read_request
from website.guard import requires
from website.index import Level
from website.zip_stream import stream_zip

blueprint = Blueprint("dicomweb", __name__, url_prefix="/dicom-web")
DICOM, DICOM_JSON, ZIP = "application/dicom", "application/dicom+json", "application/zip"


def permitted(study_uid: str, series_uid: str = "") -> Members:
    """Return what the user may have of a study or series; raises ``NotFoundError`` where that is nothing."""
    return services().dicomweb.finder.find(current_access().download, study_uid, series_uid)


def accepted() -> list[Any]:
    """Return what the client accepts."""
    return read_accept([*request.args.getlist("accept"), *request.headers.getlist("Accept")])


# ------------------------------------------------------------------------------------------------------------ QIDO-RS
@blueprint.get("/studies")
@requires("download", costly=True)
def search_studies() -> Response:
    """Search for studies."""
    return _search("study", {})


@blueprint.get("/series")
@requires("download", costly=True)
def search_series() -> Response:
    """Search for series."""
    return _search("series", {})


@blueprint.get("/instances")
@requires("download", costly=True)
def search_instances() -> Response:
    """Search for instances."""
    return _search("instance", {})


@blueprint.get("/studies/<uid:study_uid>/series")
@requires("download", study=True)
def search_study_series(study_uid: str) -> Response:
    """Search for series of a study."""
    return _search("series", {"study": study_uid})


@blueprint.get("/studies/<uid:study_uid>/instances")
@requires("download", study=True)
def search_study_instances(study_uid: str) -> Response:
    """Search for instances of a study."""
    return _search("instance", {"study": study_uid})


@blueprint.get("/studies/<uid:study_uid>/series/<uid:series_uid>/instances")
@requires("download", study=True)
def search_series_instances(study_uid: str, series_uid: str) -> Response:
    """Search for instances of a series."""
    return _search("instance", {"study": study_uid, "series": series_uid})


def _search(level: Level, scope: Mapping[Level, str]) -> Response:
    _require_json()
    if scope:
        permitted(scope["study"], scope.get("series", ""))
    node, searcher = current_access().download, services().dicomweb.searcher
    asked = read_request(level, scope, request.args.items(multi=True), searcher.distinct(node))
    answer = searcher.search(asked, node)
    # The words of the query are in the arguments that the audit trail keeps of a search without a study.
    AccessRecord.current().note(english=describe(asked.node), counts=answer.counts)
    root = current_root()
    for result in answer.results:
        result["00081190"] = {"vr": "UR", "Value": [_retrieve_url(root, result, level)]}
    sorted_results = [dict(sorted(result.items())) for result in answer.results]
    response = json_answer(json.dumps(sorted_results, ensure_ascii=False).encode())
    for warning in answer.warnings:
        response.headers.add("Warning", f'299 {root} "{warning}"')
    return response


def _retrieve_url(root: str, result: Mapping[str, Any], level: Level) -> str:
    names = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}
    depth = ("study", "series", "instance").index(level) + 1
    given = {"studies": request.view_args or {}}
    known = {"0020000D": given["studies"].get("study_uid"), "0020000E": given["studies"].get("series_uid")}
    parts = [
        f"/{name}/{(result.get(tag, {}).get('Value') or [known.get(tag) or ''])[0]}"
        for name, tag in list(names.items())[:depth]
    ]
    return root + "".join(parts)


def _require_json() -> None:
    kinds = accepted()
    if not any(accepts(kinds, kind) for kind in (DICOM_JSON, "application/json")):
        raise NotAcceptableError


# ----------------------------------------------------------------------------------------------------------- metadata
@blueprint.get("/studies/<uid:study_uid>/metadata")
@requires("download", study=True)
def study_metadata(study_uid: str) -> Response:
    """Give the metadata of the permitted instances of a study."""
    return _metadata(study_uid, permitted(study_uid).instances)


@blueprint.get("/studies/<uid:study_uid>/series/<uid:series_uid>/metadata")
@requires("download", study=True)
def series_metadata(study_uid: str, series_uid: str) -> Response:
    """Give the metadata of the permitted instances of a series."""
    return _metadata(study_uid, permitted(study_uid, series_uid).instances)


@blueprint.get("/studies/<uid:study_uid>/series/<uid:series_uid>/instances/<uid:instance_uid>/metadata")
@requires("download", study=True)
def instance_metadata(study_uid: str, series_uid: str, instance_uid: str) -> Response:
    """Give the metadata of an instance."""
    member = permitted(study_uid, series_uid).find(instance_uid)
    _require_json()
    AccessRecord.current().note(counts={"instances": 1})
    response, root = Response(mimetype=DICOM_JSON), current_root()
    if not_modified(response, version_of([member]), root):
        return response
    found = services().dicomweb.metadata.instance(study_uid, member, root)
    if not found:
        raise NotFoundError
    return compressed(response, started(iter([b"[", found, b"]"])))


def _metadata(study_uid: str, members: Sequence[Member]) -> Response:
    _require_json()
    AccessRecord.current().note(counts={"instances": len(members)})
    response, root = Response(mimetype=DICOM_JSON), current_root()
    if not_modified(response, version_of(members), root):
        return response
    source, base = services().dicomweb.metadata, current_base()
    whole = source.whole(study_uid, members, base)
    if whole is None:
        return compressed(response, started(_stream_metadata(source, study_uid, members, root)))
    if root == f"{base}/dicom-web":
        return gzipped(response, whole)
    text = gzip.decompress(whole).replace(f"{base}/dicom-web/".encode(), f"{root}/".encode())
    return compressed(response, [text])


def _stream_metadata(source: Any, study_uid: str, members: Sequence[Member], root: str) -> Iterator[bytes]:
    between = b"["
    for series in Members(tuple(members), {}).by_series().values():
        for number, piece in enumerate(source.series(study_uid, series, root)):
            yield piece if number else between + piece
            between = b","
    yield b"]" if between == b"," else b"[]"


# ---------------------------------------------------------------------------------------------------------- instances
@blueprint.get("/studies/<uid:study_uid>")
@requires("download", costly=True, study=True)
def retrieve_study(study_uid: str) -> Response:
    """Give the permitted instances of a study."""
    return _instances(permitted(study_uid).instances)


@blueprint.get("/studies/<uid:study_uid>/series/<uid:series_uid>")
@requires("download", costly=True, study=True)
def retrieve_series(study_uid: str, series_uid: str) -> Response:
    """Give the permitted instances of a series."""
    return _instances(permitted(study_uid, series_uid).instances)


@blueprint.get("/studies/<uid:study_uid>/series/<uid:series_uid>/instances/<uid:instance_uid>")
@requires("download", study=True)
def retrieve_instance(study_uid: str, series_uid: str, instance_uid: str) -> Response:
    """Give an instance."""
    return _instances([permitted(study_uid, series_uid).find(instance_uid)])


def _instances(members: Sequence[Member]) -> Response:
    """Give instances as a multipart, as a ZIP, or, where it is one, as the file itself."""
    AccessRecord.current().note(counts={"instances": len(members)})
    orthanc, kinds = services().orthanc, accepted()
    try:
        syntaxes = {member: file_syntax(kinds, member) for member in members}
    except NotAcceptableError:
        if len(members) == 1 and accepts(kinds, DICOM):
            syntaxes = {members[0]: members[0].transfer_syntax}
            (part,) = file_parts(orthanc, syntaxes)
            return Response(started(iter(part.body)), mimetype=DICOM)
        if not accepts(kinds, ZIP):
            raise
        entries = ((f"{member.id}.dcm", iter(part.body)) for member, part in _named(orthanc, members))
        return Response(started(stream_zip(entries)), mimetype=ZIP)
    writer = MultipartWriter(DICOM)
    return Response(started(writer.stream(file_parts(orthanc, syntaxes))), content_type=writer.content_type)


def _named(orthanc: Any, members: Sequence[Member]) -> Iterator[tuple[Member, Any]]:
    for member in members:
        (part,) = file_parts(orthanc, {member: member.transfer_syntax})
        yield member, part
