"""Finding out who sends a request, for each kind of login."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from flask import Request, Response, make_response, redirect, session

from common.auth.alb import ACCESS_HEADER, DATA_HEADER, AlbVerifier
from common.auth.identity import Directory, Identity
from common.auth.sessions import Session, Sessions
from common.auth.users import Users
from common.web import expire_cookies, origins
from website.programs import is_for_programs

SESSION_KEY = "token"


class Authenticator(Protocol):
    """One kind of login."""

    # True where we show a login page; else something in front of us logs users in.
    has_login_page: bool
    # Origins that logging in or out leads to.
    form_targets: tuple[str, ...]

    def identify(self, request: Request) -> Identity | None:
        """Return who sends a request; None where nobody claims to be anybody.

        Raises
        ------
        UnauthenticatedError
            Somebody claims, and the proof does not hold.
        """

    def log_out(self, request: Request) -> Response:
        """End the session and answer with where to go."""


class SessionAuthenticator:
    """A signed cookie whose token stands for a session of the table; for accounts of our own and for OpenID."""

    has_login_page = True

    def __init__(
        self,
        sessions: Sessions,
        directory: Directory | None = None,
        *,
        sign_out_url: str = "",
        form_targets: tuple[str, ...] = (),
    ) -> None:
        self.form_targets = tuple(sorted({*origins(sign_out_url), *form_targets}))
        self._sign_out_url = sign_out_url
        self._sessions = sessions
        self._directory = directory

    def identify(self, request: Request) -> Identity | None:
        """Return the user of the session; where groups can be asked for now, they are asked for."""
        found = self.find()
        if found is None:
            return None
        if self._directory is None:
            return found.identity
        return replace(found.identity, groups=self._directory.groups(found.identity.user))

    def log_out(self, request: Request) -> Response:
        """Revoke the session; the cookie is emptied by the caller."""
        found = self.find()
        if found is not None:
            self._sessions.revoke(found.id)
        return make_response(redirect(self._sign_out_url or "/login/out", 303))

    def begin(self, identity: Identity, request: Request) -> None:
        """Begin a session for a user whom something else logged in, if theirs is not there yet."""
        found = self.find()
        if found is not None and found.identity.user == identity.user:
            return
        session.pop(SESSION_KEY, None)
        agent = request.user_agent.string
        session[SESSION_KEY] = self._sessions.create(identity, address=request.remote_addr or "", agent=agent)

    def find(self) -> Session | None:
        """Return the session that the cookie stands for."""
        token = session.get(SESSION_KEY)
        return self._sessions.find(token) if isinstance(token, str) else None


class AlbAuthenticator:
    """The load balancer logs users in; its headers are verified with every request.

    A page that they open also begins a session of ours. Its cookie counts on the paths for programs alone, where the
    balancer logs nobody in and its headers are not believed: a page's viewer fetches images there.
    """

    has_login_page = False

    def __init__(
        self, verifier: AlbVerifier, users: Users, own: SessionAuthenticator, *, sign_out_url: str = ""
    ) -> None:
        self._own = own
        self.form_targets = origins(sign_out_url)
        self._sign_out_url = sign_out_url
        self._verifier = verifier
        self._users = users

    def identify(self, request: Request) -> Identity | None:
        """Return the user whom the balancer's headers prove, on paths for programs that of our session."""
        if is_for_programs(request):
            return self._own.identify(request)
        identity = self._verifier.verify(request.headers.get(DATA_HEADER), request.headers.get(ACCESS_HEADER))
        self._users.note_login(identity)
        self._own.begin(identity, request)
        return identity

    def log_out(self, request: Request) -> Response:
        """End our session, expire the balancer's cookies, and go to where Cognito ends its own session."""
        self._own.log_out(request)
        response = make_response(redirect(self._sign_out_url or "/", 303))
        expire_cookies(request, response)
        return response
