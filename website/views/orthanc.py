"""Orthanc under ``/orthanc/``, for those whose profiles let a request pass."""

from __future__ import annotations

from flask import Blueprint, Response, abort, redirect, request
from flask.typing import ResponseReturnValue

from common.errors import NotFoundError
from website.audit_requests import AccessRecord
from website.context import current_access, services
from website.guard import requires
from website.orthanc_proxy import Forwarded, choose_headers, rebuild_arguments, stream
from website.path_patterns import METHODS, normalise_path

blueprint = Blueprint("orthanc", __name__)
MOUNT = "/orthanc"


@blueprint.route("/orthanc", methods=["GET"])
@requires("orthanc")
def enter() -> ResponseReturnValue:
    """Go to Orthanc's own start page."""
    return redirect(f"{MOUNT}/")


# Not Werkzeug's merging of slashes: it would redirect before anybody is asked for.
@blueprint.route(
    "/orthanc/", defaults={"path": ""}, methods=METHODS, merge_slashes=False, provide_automatic_options=False
)
@blueprint.route("/orthanc/<path:path>", methods=METHODS, merge_slashes=False, provide_automatic_options=False)
@requires("orthanc", same_origin=True, large_body=True)
def forward(path: str) -> ResponseReturnValue:
    """Hand a request on, if one of the user's profiles lets it pass."""
    try:
        normalised = normalise_path(path)
    except ValueError as exc:
        raise NotFoundError(str(exc)) from exc
    if "Transfer-Encoding" in request.headers:
        abort(411)  # Orthanc of Debian 12 reads no chunks, and a body must not be dropped without a word
    AccessRecord.current().note(forwarded=f"{request.method} {normalised}")
    if not current_access().orthanc(request.method, normalised):
        raise NotFoundError("no profile lets this request pass")
    forwarded = Forwarded(
        request.method,
        normalised,
        rebuild_arguments(request.query_string.decode("latin-1")),
        choose_headers(dict(request.headers)),
    )
    proxy = services().orthanc_proxy
    answer = proxy.send(forwarded, request.stream, request.content_length)
    return Response(stream(answer), status=answer.status, headers=proxy.headers(normalised, answer, MOUNT))
