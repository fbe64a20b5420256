"""Pictures: frames of an instance, thumbnails of instances, series and studies."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from flask import Blueprint, Response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from common.errors import InvalidDicomError, NotFoundError
from common.rendering import MIMETYPES, Picture, render
from website.catalogue import Level
from website.context import current_access, current_catalogue, current_index, current_orthanc, services
from website.guard import requires

blueprint = Blueprint("frames", __name__)
THUMBNAIL = 256
_CHUNK = 256 << 10


@blueprint.get("/instances/<orthanc:instance_id>/frames/<int:frame>.<any(png, jpeg):format>")
@requires("see", costly=True)
def show_frame(instance_id: str, frame: int, format: str) -> Response:
    """Show one frame, counted from 1; ``center`` and ``width`` give a window, ``size`` the longest side."""
    center, width = (request.args.get(name, type=float) for name in ("center", "width"))
    size = request.args.get("size", type=int)
    bounded = min(max(size, 1), 4096) if size else None
    return _picture(instance_id, Picture(frame, center, width, bounded, format))


@blueprint.get("/instances/<orthanc:instance_id>/thumbnail")
@requires("see")
def show_instance_thumbnail(instance_id: str) -> ResponseReturnValue:
    """Show its first frame small, or a drawing where there is no image."""
    try:
        return _picture(instance_id, Picture(size=THUMBNAIL, format="jpeg"))
    except InvalidDicomError:
        return redirect(url_for("static", filename="no-image.svg"))


@blueprint.get("/series/<orthanc:series_id>/thumbnail")
@requires("see")
def show_series_thumbnail(series_id: str) -> ResponseReturnValue:
    """Show a permitted instance from the middle of a series."""
    return _of("series", series_id)


@blueprint.get("/studies/<orthanc:study_id>/thumbnail")
@requires("see")
def show_study_thumbnail(study_id: str) -> ResponseReturnValue:
    """Show a permitted instance of a study."""
    return _of("study", study_id)


def _of(level: Level, identifier: str) -> ResponseReturnValue:
    return show_instance_thumbnail(current_catalogue().representative(level, identifier, current_access().see))


def _picture(instance_id: str, picture: Picture) -> Response:
    """Render a picture of a permitted instance; the browser's copy is used again while the stored file is the same."""
    if not current_index().permitted(instance_id, current_access().see):
        raise NotFoundError
    md5 = current_orthanc().instance_md5(instance_id)
    response = Response(mimetype=MIMETYPES[picture.format])
    # Asked again each time, so that a withdrawn permission or a replaced instance takes effect at once.
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(f"{md5}-{crc32(repr(picture).encode()):08x}")
    if request.if_none_match.contains(response.get_etag()[0] or ""):
        response.status_code = 304
        return response
    with services().files.open(instance_id, md5, lambda: _fetch(instance_id)) as file:
        response.set_data(render(file, picture))
    return response


def _fetch(instance_id: str) -> Iterator[bytes]:
    with current_orthanc().stream(f"/instances/{instance_id}/file") as answer:
        yield from answer.stream(_CHUNK)
