"""DICOMweb: frames, bulk data, rendered images and thumbnails (PS3.18 10.4.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from flask import Blueprint, Response, request

from common.errors import InvalidDicomError, NotFoundError
from common.rendering import MIMETYPES, Picture, render
from website.audit_requests import AccessRecord
from website.context import Services, services
from website.dicomweb.answers import not_modified, started
from website.dicomweb.bulk import open_bulk
from website.dicomweb.files import read_file
from website.dicomweb.frames import read_numbers
from website.dicomweb.media_types import OCTETS, NotAcceptableError, accepts, frame_type
from website.dicomweb.members import Member, version_of
from website.dicomweb.multipart import MultipartWriter, Part
from website.dicomweb.rendered import read_picture
from website.guard import requires
from website.views.dicomweb import accepted, permitted

blueprint = Blueprint("dicomweb_images", __name__, url_prefix="/dicom-web")
_SERIES = "/studies/<uid:study_uid>/series/<uid:series_uid>"
_INSTANCE = f"{_SERIES}/instances/<uid:instance_uid>"
THUMBNAIL = 256
_TAG = re.compile(r"[0-9A-Fa-f]{8}(/\d{1,6}/[0-9A-Fa-f]{8}){0,8}")


def _instance(study_uid: str, series_uid: str, instance_uid: str) -> Member:
    return permitted(study_uid, series_uid).find(instance_uid)


# ------------------------------------------------------------------------------------------------- frames and bulk data
@blueprint.get(f"{_INSTANCE}/frames/<frames>")
@requires("download", study=True)
def retrieve_frames(study_uid: str, series_uid: str, instance_uid: str, frames: str) -> Response:
    """Give frames, counted from 1, as they are stored, or decoded where the client takes nothing else."""
    member = _instance(study_uid, series_uid, instance_uid)
    numbers, source = read_numbers(frames, member), services().dicomweb.frames
    AccessRecord.current().note(counts={"frames": len(numbers)})
    syntax = source.syntax(member, accepted())
    writer = MultipartWriter(frame_type(syntax))
    response = Response(content_type=writer.content_type)
    if not_modified(response, version_of([member]), frames, syntax):
        return response
    if len(numbers) == 1:  # nearly every request: whole, without the machinery of a stream
        response.set_data(writer.whole(source.part(member, numbers[0], syntax)))
        return response
    response.response = started(writer.stream(source.part(member, number, syntax) for number in numbers))
    return response


@blueprint.get(f"{_INSTANCE}/bulk/<path:tag>")
@requires("download", study=True)
def retrieve_bulk(study_uid: str, series_uid: str, instance_uid: str, tag: str) -> Response:
    """Give the value of one element, as the metadata names it."""
    member = _instance(study_uid, series_uid, instance_uid)
    if not _TAG.fullmatch(tag):
        raise NotFoundError
    AccessRecord.current().note(counts={"bulk": 1})
    body = started(open_bulk(services().orthanc, study_uid, member, tag))
    kinds = accepted()
    if any(kind.multipart for kind in kinds):
        # Whatever the type is called that the client expects (a PDF, say), these are its bytes.
        named = next((kind.inner for kind in kinds if kind.multipart and "*" not in kind.inner), OCTETS)
        writer = MultipartWriter(named if re.fullmatch(r"[\w.+-]+/[\w.+-]+", named) else OCTETS)
        return Response(writer.stream([Part(named, body)]), content_type=writer.content_type)
    if not accepts(kinds, OCTETS):
        raise NotAcceptableError
    return Response(body, mimetype=OCTETS)


# ------------------------------------------------------------------------------------------------------------ rendered
@blueprint.get(f"{_INSTANCE}/rendered")
@requires("download", costly=True, study=True)
def render_instance(study_uid: str, series_uid: str, instance_uid: str) -> Response:
    """Render an instance's first frame."""
    return _picture(_instance(study_uid, series_uid, instance_uid), 1)


@blueprint.get(f"{_INSTANCE}/frames/<frames>/rendered")
@requires("download", costly=True, study=True)
def render_frames(study_uid: str, series_uid: str, instance_uid: str, frames: str) -> Response:
    """Render frames; several become a multipart."""
    member = _instance(study_uid, series_uid, instance_uid)
    numbers = read_numbers(frames, member)
    if len(numbers) == 1:
        return _picture(member, numbers[0])
    return _pictures([(member, number) for number in numbers])


@blueprint.get(f"{_SERIES}/rendered")
@requires("download", costly=True, study=True)
def render_series(study_uid: str, series_uid: str) -> Response:
    """Render the first frame of each permitted instance of a series."""
    return _pictures([(member, 1) for member in permitted(study_uid, series_uid).instances])


@blueprint.get("/studies/<uid:study_uid>/rendered")
@requires("download", costly=True, study=True)
def render_study(study_uid: str) -> Response:
    """Render the first frame of each permitted instance of a study."""
    return _pictures([(member, 1) for member in permitted(study_uid).instances])


@blueprint.get("/studies/<uid:study_uid>/thumbnail")
@requires("download", costly=True, study=True)
def study_thumbnail(study_uid: str) -> Response:
    """Render a permitted instance of a study small."""
    return _thumbnail(permitted(study_uid).instances)


@blueprint.get(f"{_SERIES}/thumbnail")
@requires("download", costly=True, study=True)
def series_thumbnail(study_uid: str, series_uid: str) -> Response:
    """Render a permitted instance from the middle of a series small."""
    return _thumbnail(permitted(study_uid, series_uid).instances)


@blueprint.get(f"{_INSTANCE}/thumbnail")
@requires("download", costly=True, study=True)
def instance_thumbnail(study_uid: str, series_uid: str, instance_uid: str) -> Response:
    """Render an instance's first frame small."""
    return _picture(_instance(study_uid, series_uid, instance_uid), 1, THUMBNAIL)


@blueprint.get(f"{_INSTANCE}/frames/<frames>/thumbnail")
@requires("download", costly=True, study=True)
def frame_thumbnail(study_uid: str, series_uid: str, instance_uid: str, frames: str) -> Response:
    """Render a frame small."""
    member = _instance(study_uid, series_uid, instance_uid)
    return _picture(member, read_numbers(frames, member)[0], THUMBNAIL)


def _thumbnail(members: Sequence[Member]) -> Response:
    images = [member for member in members if member.has_image]
    if not images:
        raise NotFoundError
    first = [member for member in images if member.series_id == images[0].series_id]
    return _picture(first[len(first) // 2], 1, THUMBNAIL)


def _picture(member: Member, frame: int, size: int | None = None) -> Response:
    picture = _read_picture(frame, size)
    AccessRecord.current().note(counts={"frames": 1})
    response = Response(mimetype=MIMETYPES[picture.format])
    if not not_modified(response, version_of([member]), repr(picture)):
        response.set_data(_render(services(), member, picture))
    return response


def _pictures(wanted: Sequence[tuple[Member, int]]) -> Response:
    images = [(member, frame) for member, frame in wanted if member.has_image]
    if not images:
        raise NotFoundError
    picture = _read_picture(1)
    AccessRecord.current().note(counts={"frames": len(images)})
    kind = MIMETYPES[picture.format]
    writer = MultipartWriter(kind)
    service = services()

    def parts() -> Iterator[Part]:
        for member, frame in images:
            try:
                shown = Picture(frame, picture.center, picture.width, picture.size, picture.format)
                yield Part(kind, [_render(service, member, shown)])
            except InvalidDicomError:
                continue  # one that cannot be decoded does not keep the others

    return Response(started(writer.stream(parts())), content_type=writer.content_type)


def _read_picture(frame: int, size: int | None = None) -> Picture:
    kinds = accepted()
    chosen = next((name for name in ("jpeg", "png") if accepts(kinds, MIMETYPES[name])), None)
    inside = next((name for name in ("jpeg", "png") for k in kinds if k.takes(MIMETYPES[name]) and k.multipart), None)
    if chosen is None and inside is None:
        raise NotAcceptableError
    return read_picture(frame, request.args, chosen or inside or "jpeg", size)


def _render(service: Services, member: Member, picture: Picture) -> bytes:
    md5 = service.orthanc.instance_md5(member.id)
    with service.files.open(member.id, md5, lambda: read_file(service.orthanc, member)) as file:
        return render(file, picture)
