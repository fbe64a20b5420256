"""OHIF under ``/viewer/``: its files, which come with the program, and the page that shows studies."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request
from flask.typing import ResponseReturnValue

from common.errors import NotFoundError
from common.tags import parse_tag
from website.context import current_access, current_catalogue, services
from website.guard import requires
from website.index import Level
from website.ohif.contents import ViewerFile

blueprint = Blueprint("viewer", __name__)
MOST_STUDIES = 4

# Measured: the strictest that shows images, reports and PDFs without a complaint (doc/decisions/0121).
_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; manifest-src 'self'; object-src 'self' blob:; frame-src blob:;"
    " frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
# A worker is held to the policy of its own answer; the codecs' glue compiles functions, so it alone may.
_WORKER_POLICY = "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self'"
_YEAR = 31536000


@blueprint.get("/viewer/")
@requires("login")
def enter() -> ResponseReturnValue:
    """Go where studies are found: the viewer opens some of them."""
    return redirect("/search")


# "Download: false" closes DICOMweb, without which there is nothing to show.
@blueprint.get("/viewer/viewer")
@requires("download", interactive=True)
def show() -> ResponseReturnValue:
    """Show studies in OHIF: ``StudyInstanceUIDs``, separated by commas."""
    page = services().viewer.find("index.html")
    if page is None:
        return render_template("no_viewer.html", access=current_access()), 404
    return _send(page)


@blueprint.get("/studies/<orthanc:study_id>/viewer")
@requires("download")
def open_study(study_id: str) -> ResponseReturnValue:
    """Open a study in the viewer; others beside it (``with``, again by Orthanc's identifier), where they are named."""
    studies = [study_id, *request.args.getlist("with")[: MOST_STUDIES - 1]]
    uids = [_first("study", each, "StudyInstanceUID") for each in studies]
    compared = {"hangingprotocolId": "@ohif/hpCompare"} if len(uids) > 1 else {}
    return redirect(viewer_address(uids, **compared))


@blueprint.get("/series/<orthanc:series_id>/viewer")
@requires("download")
def open_series(series_id: str) -> ResponseReturnValue:
    """Open a study in the viewer, with one of its series in front."""
    study_uid, series_uid = (_first("series", series_id, name) for name in ("StudyInstanceUID", "SeriesInstanceUID"))
    return redirect(viewer_address([study_uid], initialSeriesInstanceUID=series_uid))


def viewer_address(uids: Sequence[str], **arguments: str) -> str:
    """Return where the viewer shows some studies."""
    return "/viewer/viewer?" + urlencode({"StudyInstanceUIDs": ",".join(uids), **arguments}, safe=",@/")


def _first(level: Level, identifier: str, keyword: str) -> str:
    """Return a UID of a permitted study or series; raises ``NotFoundError`` where nothing of it is permitted."""
    catalogue = current_catalogue()
    document = catalogue.first_document(catalogue.within(level, identifier, current_access().download))
    return (document.values((parse_tag(keyword),)) or [""])[0]


@blueprint.get("/viewer/<path:path>")
@requires("public")
def show_file(path: str) -> Response:
    """Send one of OHIF's own files; they hold nothing of anybody."""
    file = services().viewer.find(path)
    if file is None or path.endswith(".html"):
        raise NotFoundError
    return _send(file)


def _send(file: ViewerFile) -> Response:
    response = Response(mimetype=file.mimetype)
    response.headers["Content-Security-Policy"] = _WORKER_POLICY if file.worker else _POLICY
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable" if file.immutable else "no-cache"
    response.set_etag(file.etag, weak=True)
    if request.if_none_match.contains_weak(file.etag):
        response.status_code = 304
        return response
    if request.accept_encodings.quality("gzip") > 0:
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(file.gzipped())
    else:
        response.set_data(file.plain())
    return response
