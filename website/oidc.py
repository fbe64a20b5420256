"""OpenID Connect by authorization code with PKCE, for Keycloak, Cognito's hosted UI and others.

The protocol is Authlib's; here stands which of a provider's answers are believed.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

import joserfc.errors
import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App
from flask import Response, request

from common.auth.alb import split_groups
from common.auth.identity import Identity
from common.errors import TransientError, UnauthenticatedError
from website.settings import WebsiteSettings

# Pinned: never "none", never HS256, whatever the provider's metadata lists.
_ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "RS384", "RS512", "EdDSA")
_TIMEOUT = 10
_METADATA = "/.well-known/openid-configuration"


class OidcClient:
    """The portal as a client of one provider."""

    def __init__(self, settings: WebsiteSettings) -> None:
        self._issuer = settings.oidc_issuer
        self._claim_username = settings.oidc_claim_username
        self._claim_groups = settings.oidc_claim_groups
        self._orthanc_url = settings.orthanc_public_url
        self._public_url = settings.public_url
        self._client_id = settings.oidc_client_id
        self._app = FlaskOAuth2App(
            FlaskIntegration("oidc"),
            name="oidc",
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret or None,
            server_metadata_url=self._issuer + _METADATA,
            client_kwargs={
                "scope": settings.oidc_scopes,
                "code_challenge_method": "S256",
                "default_timeout": _TIMEOUT,
                **({} if settings.oidc_client_secret else {"token_endpoint_auth_method": "none"}),
            },
        )

    def go_to_provider(self) -> Response:
        """Redirect to the provider; state, nonce and the PKCE verifier are kept in the signed cookie."""
        self._metadata()
        response: Response = self._app.authorize_redirect(f"{self._base()}/login/callback")
        return response

    def finish(self) -> Identity:
        """Exchange the code of the provider's redirect for an ID token, and verify it.

        Raises
        ------
        UnauthenticatedError
            Wrong state, code, signature, nonce, audience, issuer or expiry, or no user name.
        TransientError
            The provider does not answer.
        """
        self._metadata()
        try:
            claims = self._app.authorize_access_token().get("userinfo")
        except (AuthlibBaseError, joserfc.errors.JoseError, ValueError, KeyError) as exc:
            raise UnauthenticatedError("the provider's answer does not verify") from exc
        except requests.RequestException as exc:
            raise TransientError("the OpenID provider does not answer") from exc
        if not claims:
            raise UnauthenticatedError("the provider sent no ID token")
        name = claims.get(self._claim_username)
        if not isinstance(name, str) or not name:
            raise UnauthenticatedError(f"the ID token holds no {self._claim_username}")
        return Identity(name, split_groups(claims.get(self._claim_groups)), "oidc")

    def logout_url(self) -> str:
        """Return where the provider ends its session too (OpenID Connect RP-Initiated Logout 1.0), if it does."""
        endpoint = self._metadata().get("end_session_endpoint")
        if not endpoint:
            return ""
        arguments = {"client_id": self._client_id, "post_logout_redirect_uri": f"{self._base()}/login/out"}
        return f"{endpoint}?{urlencode(arguments)}"

    def _base(self) -> str:
        """Return the base URL of the host that is asked: the portal's, or Orthanc's where it has its own."""
        there = self._orthanc_url and request.host == urlsplit(self._orthanc_url).netloc
        return self._orthanc_url if there else self._public_url

    def _metadata(self) -> dict[str, Any]:
        try:
            metadata: dict[str, Any] = self._app.load_server_metadata()
        except (requests.RequestException, ValueError) as exc:
            raise TransientError("the OpenID provider does not answer") from exc
        # Who answers for another issuer could sign for it too (OpenID Connect Discovery 1.0, 4.3).
        if str(metadata.get("issuer", "")).rstrip("/") != self._issuer:
            raise UnauthenticatedError("the provider's metadata name another issuer")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [name for name in offered if name in _ALGORITHMS]
        return metadata
