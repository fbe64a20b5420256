"""A small OpenID provider: Authlib's server side (authorization code, PKCE required, RS256), on a port of its own.

It stands in for Keycloak and Cognito's hosted UI, which cannot run here; the protocol is real, its users are not.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode as BaseOpenIDCode
from authlib.oidc.core import UserInfo
from flask import Flask, Response, jsonify, request
from joserfc.jwk import RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # on the loopback interface


@dataclass
class Client:
    """The portal, as the provider knows it (the mixin of Authlib's models, without a database)."""

    client_id: str
    secret: str
    redirect_uri: str

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, secret: str) -> bool:
        return secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code:
    """An authorization code."""

    code: str
    client_id: str
    redirect_uri: str
    scope: str
    nonce: str | None
    user: dict[str, Any]
    code_challenge: str | None
    code_challenge_method: str | None
    auth_time: int = field(default_factory=lambda: int(time.time()))

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


class Provider:
    """The running provider; ``user`` is who is logged in there, ``tamper`` changes an ID token's claims."""

    def __init__(self) -> None:
        self.client = Client("portal", "secret-of-the-portal", "http://localhost/login/callback")
        self.user: dict[str, Any] = {"sub": "1", "preferred_username": "alice", "groups": ["ct"]}
        self.codes: dict[str, Code] = {}
        self.tamper: dict[str, Any] = {}
        self.issuer_override = ""
        self.algorithm = "RS256"
        self.key = RSAKey.generate_key(2048, {"kid": "key-1", "use": "sig"}, auto_kid=False)
        self.signing_key = self.key
        self.requests: list[str] = []
        self.app = self._application()
        self.server = make_server("127.0.0.1", 0, self.app, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Stop it."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def _application(self) -> Flask:
        app = Flask("provider")
        app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = False
        server = AuthorizationServer(app, query_client=self._find_client, save_token=lambda token, request: None)
        server.register_grant(_make_grant(self), [_make_openid(self), CodeChallenge(required=True)])
        app.add_url_rule("/.well-known/openid-configuration", view_func=self._metadata)
        app.add_url_rule("/keys", "keys", view_func=lambda: jsonify(keys=[self.key.as_dict(private=False)]))
        app.add_url_rule("/authorize", "authorize", view_func=lambda: self._authorize(server))
        app.add_url_rule("/token", "token", view_func=lambda: self._token(server), methods=["POST"])
        return app

    def _find_client(self, client_id: str) -> Client | None:
        return self.client if client_id == self.client.client_id else None

    def _metadata(self) -> Response:
        return jsonify(
            issuer=self.issuer_override or self.url,
            authorization_endpoint=f"{self.url}/authorize",
            token_endpoint=f"{self.url}/token",
            jwks_uri=f"{self.url}/keys",
            end_session_endpoint=f"{self.url}/logout",
            id_token_signing_alg_values_supported=["RS256", "HS256", "none"],
        )

    def _authorize(self, server: AuthorizationServer) -> Any:
        self.requests.append(request.full_path)
        grant = server.get_consent_grant(end_user=self.user)
        return server.create_authorization_response(grant_user=self.user, grant=grant)

    def _token(self, server: AuthorizationServer) -> Any:
        self.requests.append(request.get_data(as_text=True))
        return server.create_token_response()


def _make_grant(provider: Provider) -> type:
    class Grant(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

        def save_authorization_code(self, code: str, request: Any) -> None:
            data = request.payload.data
            provider.codes[code] = Code(
                code,
                request.client.client_id,
                request.payload.redirect_uri,
                request.payload.scope,
                data.get("nonce"),
                request.user,
                data.get("code_challenge"),
                data.get("code_challenge_method"),
            )

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            return provider.codes.get(code)

        def delete_authorization_code(self, authorization_code: Code) -> None:
            provider.codes.pop(authorization_code.code)

        def authenticate_user(self, authorization_code: Code) -> dict[str, Any]:
            return authorization_code.user

    return Grant


def _make_openid(provider: Provider) -> Any:
    class OpenIDCode(BaseOpenIDCode):
        def exists_nonce(self, nonce: str, request: Any) -> bool:
            return any(code.nonce == nonce for code in provider.codes.values())

        def get_client_algorithm(self, client: Client) -> str:
            return provider.algorithm

        def get_client_claims(self, client: Client) -> dict[str, Any]:
            return {"iss": provider.url}

        def resolve_client_private_key(self, client: Client) -> Any:
            return provider.signing_key

        def generate_user_info(self, user: dict[str, Any], scope: str) -> UserInfo:
            return UserInfo(**{**user, **provider.tamper})

    return OpenIDCode(require_nonce=True)
