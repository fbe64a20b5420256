"""Errors as answers: a page for people, JSON for programs, nothing that tells more than it should."""

from __future__ import annotations

import logging
from http import HTTPStatus
from urllib.parse import urlencode

from flask import Flask, Response, g, jsonify, make_response, redirect, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from common.auth.limits import TooManyError
from common.errors import (
    NotFoundError,
    QueryError,
    RefusedError,
    ResearchPacsError,
    TransientError,
    UnauthenticatedError,
)
from common.log import describe_exception
from website.audit_requests import AccessRecord
from website.context import services
from website.dicomweb.media_types import NotAcceptableError
from website.programs import is_for_programs

logger = logging.getLogger(__name__)

# The same words for what is not there and for what one may not see.
_SENTENCES = {
    400: "The request is malformed.",
    401: "You are not logged in.",
    403: "You may not do this.",
    404: "There is no such page, or you may not see it.",
    405: "This is not done that way.",
    406: "Nothing that can be given is what the request accepts.",
    411: "Send the length of the body.",
    413: "The request is too large.",
    429: "Too many requests: try again later.",
    500: "Something went wrong here; it has been logged.",
    503: "A part of the platform does not answer: try again later.",
}


def for_program() -> bool:
    """Tell whether this request comes from a program rather than from a person's browser."""
    if is_for_programs(request) or request.path.endswith((".json", ".jsonl", ".csv")):
        return True
    # Browsers name HTML when a person goes somewhere, a download too; scripts and pictures accept anything.
    return "text/html" not in request.accept_mimetypes.values() or "Authorization" in request.headers


def error_answer(status: int, detail: str = "") -> Response:
    """Make the answer for an error."""
    sentence = _SENTENCES.get(status) or HTTPStatus(status).phrase
    if for_program():
        response = jsonify(error=HTTPStatus(status).phrase, message=detail or sentence)
    else:
        response = make_response(render_template("error.html", status=status, sentence=sentence, detail=detail))
    response.status_code = status
    return response


def install_error_pages(app: Flask) -> None:
    """Register the answers."""
    app.register_error_handler(UnauthenticatedError, _unauthenticated)
    app.register_error_handler(CSRFError, _refused_form)
    app.register_error_handler(TooManyError, _too_many)
    app.register_error_handler(ResearchPacsError, _ours)
    app.register_error_handler(HTTPException, lambda exc: _http(exc))
    app.register_error_handler(Exception, _unexpected)


def _unauthenticated(exc: UnauthenticatedError) -> Response:
    if "Authorization" in request.headers or not services().authenticator.has_login_page:
        AccessRecord.current().refused(str(exc))
        logger.warning("a request was refused", extra={"reason": str(exc), "address": request.remote_addr})
    if services().authenticator.has_login_page and request.method == "GET" and not for_program():
        target = request.full_path.rstrip("?")
        return make_response(redirect("/login?" + urlencode({"next": target}) if target != "/" else "/login"))
    response = error_answer(401, str(exc))
    response.headers["WWW-Authenticate"] = 'Bearer realm="research-pacs"'
    return response


def _refused_form(exc: CSRFError) -> Response:
    AccessRecord.current().refused("no valid CSRF token")
    return error_answer(400, "The form is too old or was sent from another site: reload the page and try again.")


def _too_many(exc: TooManyError) -> Response:
    AccessRecord.current().refused("too many requests")
    response = error_answer(429, str(exc))
    response.headers["Retry-After"] = str(exc.retry_after)
    return response


def _ours(exc: ResearchPacsError) -> Response:
    if isinstance(exc, NotFoundError):
        return error_answer(404)  # without the message: it could tell what exists
    if isinstance(exc, RefusedError):
        AccessRecord.current().refused(str(exc))
        return error_answer(403, str(exc))
    if isinstance(exc, QueryError):
        return error_answer(400, str(exc))
    if isinstance(exc, NotAcceptableError):
        return error_answer(406)
    if isinstance(exc, TransientError):
        logger.warning("a peer is away: %s", exc)
        return error_answer(503)
    return _unexpected(exc)


def _http(exc: HTTPException) -> Response:
    if exc.response is not None or exc.code is None or exc.code < 400:
        return make_response(exc.get_response())  # redirects, and answers that views abort with
    return error_answer(exc.code)


def _unexpected(exc: Exception) -> Response:
    logger.error("a request failed\n%s", describe_exception(exc), extra={"request": AccessRecord.current().id})
    g.pop("access", None)  # the page must not depend on what may have failed
    return error_answer(500)
