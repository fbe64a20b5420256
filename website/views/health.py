"""Whether this process is alive, for load balancers."""

from __future__ import annotations

from flask import Blueprint, Response

from website.guard import requires

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthcheck")
@requires("public")
def healthcheck() -> Response:
    """Answer; peers are not asked, since replacing this process would not heal them."""
    return Response("ok", mimetype="text/plain")
