"""The gate in front of every view: who is asking, may they, may they so often, and the audit row before any data.

Each view says what it needs with :func:`requires`; an application with a route that does not say is not started.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import flask
from flask import Flask, g, redirect, request, session
from flask_wtf.csrf import CSRFProtect

from common.auth.identity import Identity
from common.errors import NotFoundError, RefusedError, UnauthenticatedError
from common.web import is_same_origin
from website.audit_requests import AccessRecord
from website.context import services
from website.dicomweb.roots import LINK_KEY, SHARE_KEY
from website.error_pages import for_program
from website.programs import under_api
from website.static_files import STATIC

View = TypeVar("View", bound=Callable[..., Any])

LEVELS = ("public", "login", "see", "download", "export", "store", "orthanc", "admin")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_FORM_BYTES = 2**20


@dataclass(frozen=True)
class Requirement:
    """What a route needs.

    Attributes
    ----------
    level
        ``public``: nothing. ``login``: any user, by a browser's session. ``admin``: an administrator, by a
        browser's session. The others: that action, by a session or by an API token that carries it.
    costly
        Counted against the user's requests per minute.
    same_origin
        Unsafe methods are protected by Fetch Metadata instead of a CSRF token: for pages that are not ours.
    large_body
        The largest body is that of stored instances, not of a form.
    interactive
        Only by a browser's session, whatever the level: an API token must not make another.
    study
        Of DICOMweb, for one study: two rows in the audit trail for each minute, not for each request.
    """

    level: str
    costly: bool = False
    same_origin: bool = False
    large_body: bool = False
    interactive: bool = False
    study: bool = False

    @property
    def takes_tokens(self) -> bool:
        """Tell whether an API token can open this route."""
        return not self.interactive and self.level not in ("public", "login", "admin")

    @property
    def under_api(self) -> bool:
        """Tell whether the route is there under ``/api/`` too: what programs search and fetch."""
        return self.takes_tokens and self.level in ("see", "download", "export")


def requires(
    level: str,
    *,
    costly: bool = False,
    same_origin: bool = False,
    large_body: bool = False,
    interactive: bool = False,
    study: bool = False,
) -> Callable[[View], View]:
    """Declare what a view needs: see :class:`Requirement`."""
    if level not in LEVELS:
        raise ValueError(f"{level!r} is none of {', '.join(LEVELS)}")

    def mark(view: View) -> View:
        vars(view)["requirement"] = Requirement(level, costly, same_origin, large_body, interactive, study)
        return view

    return mark


def requirements(app: Flask) -> dict[str, Requirement]:
    """Return what every endpoint needs.

    Raises
    ------
    RuntimeError
        A view does not say: a mistake of the programmer, found when the application is made.
    """
    found: dict[str, Requirement] = {}
    for endpoint, view in app.view_functions.items():
        requirement = Requirement("public") if endpoint in STATIC else getattr(view, "requirement", None)
        if requirement is None:
            raise RuntimeError(f"the view {endpoint} does not say what it requires")
        found[endpoint] = requirement
    return found


def install_guard(app: Flask, csrf: CSRFProtect) -> None:
    """Put the gate in front of every request of an application whose blueprints are registered."""
    table = requirements(app)
    app.after_request(_hide_address)

    @app.before_request
    def guard() -> flask.typing.ResponseReturnValue | None:
        requirement = table.get(request.endpoint or "")
        if requirement is None:
            return None  # no such route, or not with this method: Flask answers
        _limit_body(requirement)
        if under_api(request) and not requirement.under_api:
            raise NotFoundError
        if request.endpoint in STATIC:
            return None
        elsewhere = _other_host(requirement)
        if elsewhere is not None:
            return elsewhere
        if requirement.level != "public":  # where nobody needs to be anybody, no claim to be somebody is read
            if _identify(requirement) is None:
                raise UnauthenticatedError
            _authorise(requirement)
        _protect(csrf, requirement)
        if requirement.costly:
            services().costly.hit(g.access.user)
        if requirement.level in ("see", "download", "export") and _purpose_is_missing():
            if for_program():
                raise RefusedError("name a purpose of use first: open the portal in a browser")
            return redirect("/purpose?" + urlencode({"next": request.full_path.rstrip("?")}))
        if requirement.study:
            AccessRecord.current().begin_minute(str((request.view_args or {})["study_uid"]))
        elif requirement.level != "public":
            AccessRecord.current().begin()
        return None


def _hide_address(response: flask.Response) -> flask.Response:
    """Keep the address of a link, which holds its token, from other sites."""
    if LINK_KEY in request.environ:
        response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _other_host(requirement: Requirement) -> flask.typing.ResponseReturnValue | None:
    """Keep Orthanc on its host name and the pages on theirs, where they have two.

    A script that somebody stored and Orthanc's pages run then finds neither the portal's cookie nor its pages.
    """
    base = services().settings.orthanc_public_url
    if not base:
        return None
    there, for_orthanc = request.host == urlsplit(base).netloc, requirement.level == "orthanc"
    if there == for_orthanc or (there and (requirement.level == "public" or request.endpoint == "login.log_out")):
        return None
    if for_orthanc and request.method in SAFE_METHODS:
        return redirect(base + request.full_path.rstrip("?"))
    raise NotFoundError


def _limit_body(requirement: Requirement) -> None:
    megabytes = services().settings.max_request_mb if requirement.large_body else 1
    request.max_content_length = megabytes * 2**20


def _identify(requirement: Requirement) -> Identity | None:
    """Find out who is asking and what they may; nothing of it outlives the request."""
    service = services()
    header = request.headers.get("Authorization", "")
    if LINK_KEY in request.environ:
        if not requirement.takes_tokens:
            raise UnauthenticatedError("this page takes no link")
        g.link, identity, g.access = service.links.open(request.environ[LINK_KEY])
    elif header.lower().startswith("bearer "):
        if not requirement.takes_tokens:
            raise UnauthenticatedError("this page takes no API token")
        token = service.tokens.verify(header[7:].strip())
        identity = Identity(token.user, service.users.groups(token.user), "token")
        access = service.permissions.value.access(identity.user, identity.groups)
        g.token = token
        # "Download: false" takes API tokens away too, those that were made before it was set included.
        g.access = access.restricted_to(token.actions if access.may("download") else ())
    else:
        found = service.authenticator.identify(request)
        if found is None:
            return None
        identity = found
        g.access = service.permissions.value.access(identity.user, identity.groups)
    g.identity = identity
    if SHARE_KEY in request.environ:
        g.link, g.access = service.links.open_share(request.environ[SHARE_KEY], g.access)
    return identity


def _authorise(requirement: Requirement) -> None:
    """Refuse an action as such. It is the same answer for every object, so it tells nothing about any."""
    if not g.access.may(requirement.level):
        raise RefusedError("your permissions do not allow this")


def _protect(csrf: CSRFProtect, requirement: Requirement) -> None:
    """Refuse state changes that another site makes a browser send; an API token is not sent by itself."""
    if request.method in SAFE_METHODS or "token" in g:
        return
    if requirement.same_origin:
        if not is_same_origin(request):
            raise RefusedError("the request does not come from this site")
        return
    csrf.protect()


def purpose_of_use() -> str | None:
    """Return the project or approval number that the user gave for this session or token."""
    if "token" in g or LINK_KEY in request.environ:
        return cast("str | None", g.token.purpose if "token" in g else g.link.purpose)
    return cast("str | None", session.get("purpose"))


def _purpose_is_missing() -> bool:
    if not services().settings.purpose_of_use or purpose_of_use():
        return False
    if "token" in g or LINK_KEY in request.environ:
        raise RefusedError("this API token names no purpose of use: make another")
    return True
