"""DICOM files: one instance, or the permitted ones of a series, a study or a result as a ZIP made while it is sent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from flask import Blueprint, Response, request, stream_with_context

from common.errors import NotFoundError
from common.query import Node, all_of, describe, parse
from website.audit_requests import AccessRecord
from website.catalogue import Level
from website.context import current_access, current_catalogue, current_index, current_orthanc
from website.guard import requires
from website.index import InstanceIds
from website.zip_stream import stream_zip

blueprint = Blueprint("downloads", __name__)
_CHUNK = 256 << 10


@blueprint.get("/instances/<orthanc:instance_id>.dcm")
@requires("download", costly=True)
def instance_file(instance_id: str) -> Response:
    """Stream the file of one instance."""
    if not current_index().permitted(instance_id, current_access().download):
        raise NotFoundError
    current_orthanc().instance_md5(instance_id)  # not there: an error now, not in the middle of the file
    headers = {"Content-Disposition": f'attachment; filename="{instance_id}.dcm"'}
    return Response(stream_with_context(_file(instance_id)), mimetype="application/dicom", headers=headers)


@blueprint.get("/series/<orthanc:series_id>.zip")
@requires("download", costly=True)
def series_zip(series_id: str) -> Response:
    """Stream the permitted instances of a series."""
    return _resource_zip("series", series_id)


@blueprint.get("/studies/<orthanc:study_id>.zip")
@requires("download", costly=True)
def study_zip(study_id: str) -> Response:
    """Stream the permitted instances of a study."""
    return _resource_zip("study", study_id)


@blueprint.get("/search.zip")
@requires("download", costly=True)
def search_zip() -> Response:
    """Stream the permitted instances of a result."""
    query = request.args.get("q", "").strip()
    tree = parse(query)
    AccessRecord.current().note(query=query, english=describe(tree))
    return _zip(all_of([tree, current_access().download]), "result")


def _resource_zip(level: Level, identifier: str) -> Response:
    permitted = current_catalogue().within(level, identifier, current_access().download)
    return _zip(permitted, identifier)


def _zip(permitted: Node, name: str) -> Response:
    catalogue = current_catalogue()
    counts = catalogue.count(permitted)
    if not counts["instances"]:
        raise NotFoundError
    AccessRecord.current().note(counts=counts)
    members = ((_path(member), _file(member.instance)) for member in catalogue.members(permitted))
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
    pieces = stream_zip(members)
    begin = next(pieces, b"")  # Orthanc away: an error now, not an answer that breaks off
    whole = itertools.chain([begin], pieces)
    return Response(stream_with_context(whole), mimetype="application/zip", headers=headers)


def _path(member: InstanceIds) -> str:
    """Name a file by Orthanc's identifiers, in folders by study and series: they hold no value of an element."""
    AccessRecord.current().note(objects=[member.instance])
    return f"{member.study}/{member.series}/{member.instance}.dcm"


def _file(instance_id: str) -> Iterator[bytes]:
    with current_orthanc().stream(f"/instances/{instance_id}/file") as answer:
        yield from answer.stream(_CHUNK)
