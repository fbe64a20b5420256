"""Users whom an Application Load Balancer logged in with Cognito.

The balancer sends who they are in ``x-amzn-oidc-data``, which it signs with ES256, and Cognito's access token, which
holds the groups, in ``x-amzn-oidc-accesstoken``. Each check below stops one way of being somebody else; the order
matters: nothing of a token is used before it is verified, but for what finds the key. Source: Elastic Load Balancing
user guide, "Authenticate users using an Application Load Balancer"; Amazon Cognito developer guide, "Verifying a
JSON Web Token".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jose import JOSEError, jwt

from common.auth.identity import Identity
from common.auth.keys import KeyCache, fetch, load_from_set
from common.errors import UnauthenticatedError

DATA_HEADER = "x-amzn-oidc-data"
ACCESS_HEADER = "x-amzn-oidc-accesstoken"
_MAX_HEADER = 16 * 1024
_LEEWAY = 60
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PART = re.compile(r"[A-Za-z0-9_-]+={0,2}")


@dataclass(frozen=True)
class AlbConfiguration:
    """The one balancer, pool and client that are believed.

    Attributes
    ----------
    keys_url
        Where the balancer's keys are; a key's ID is appended.
    pool_keys_url
        The pool's JWK Set.
    """

    arn: str
    client_id: str
    issuer: str
    keys_url: str
    pool_keys_url: str
    claim_username: str = "username"
    claim_groups: str = "cognito:groups"


class AlbVerifier:
    """Verifies the two headers."""

    def __init__(self, configuration: AlbConfiguration) -> None:
        self._configuration = configuration
        self._balancer_keys = KeyCache(lambda kid: fetch(f"{configuration.keys_url}/{kid}").decode("ascii", "replace"))
        self._pool_keys = KeyCache(lambda kid: load_from_set(configuration.pool_keys_url, kid))

    def verify(self, data: str | None, access_token: str | None) -> Identity:
        """Return who the balancer says is asking.

        Parameters
        ----------
        data, access_token
            The headers' values, as WSGI gives them: several of one name arrive joined by commas.

        Raises
        ------
        UnauthenticatedError
            Anything at all is wrong with them.
        """
        claims = self._verify_data(_split(data, DATA_HEADER))
        access = self._verify_access(_split(access_token, ACCESS_HEADER))
        # Someone else's access token beside our own data would lend their groups.
        if not claims.get("sub") or access.get("sub") != claims["sub"]:
            raise UnauthenticatedError("the two tokens are not of one user")
        name = self._claim(self._configuration.claim_username, access, claims)
        if not isinstance(name, str) or not name:
            raise UnauthenticatedError("the tokens hold no user name")
        groups = split_groups(self._claim(self._configuration.claim_groups, access, claims))
        return Identity(name, groups, "alb")

    def _verify_data(self, parts: list[str]) -> Mapping[str, Any]:
        expected = self._configuration
        header = _read_header(parts)
        # Pinned: a token does not choose how it is verified ("none", or HS256 with the public key as the secret).
        if header.get("alg") != "ES256":
            raise UnauthenticatedError("the balancer's token is not signed with ES256")
        # The key server serves every balancer of the region: only the signer tells that it was ours.
        if header.get("signer") != expected.arn:
            raise UnauthenticatedError("the token is signed by another load balancer")
        if header.get("client") != expected.client_id or header.get("iss") != expected.issuer:
            raise UnauthenticatedError("the token is of another client or user pool")
        key_id = header.get("kid")
        # It becomes part of a URL.
        if not isinstance(key_id, str) or not _UUID.fullmatch(key_id):
            raise UnauthenticatedError("the token's key ID is malformed")
        return _decode(parts, self._balancer_keys.get(key_id), "ES256", expected.issuer)

    def _verify_access(self, parts: list[str]) -> Mapping[str, Any]:
        expected = self._configuration
        header = _read_header(parts)
        if header.get("alg") != "RS256":
            raise UnauthenticatedError("the access token is not signed with RS256")
        key_id = header.get("kid")
        if not isinstance(key_id, str) or not 0 < len(key_id) <= 128:
            raise UnauthenticatedError("the token's key ID is malformed")
        claims = _decode(parts, self._pool_keys.get(key_id), "RS256", expected.issuer)
        # An ID token of the same pool is signed by the same key, and tokens of other clients, too.
        if claims.get("token_use") != "access" or claims.get("client_id") != expected.client_id:
            raise UnauthenticatedError("the token is no access token of our client")
        return claims

    @staticmethod
    def _claim(name: str, access: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        return access[name] if name in access else data.get(name)


def split_groups(value: Any) -> frozenset[str]:
    """Read a claim of groups: a list, or text split at commas and brackets (federated groups arrive so)."""
    items = value if isinstance(value, list) else re.split(r"[\[\],]", value) if isinstance(value, str) else []
    return frozenset(item.strip() for item in items if isinstance(item, str) and item.strip())


def _split(token: str | None, header: str) -> list[str]:
    if not token:
        raise UnauthenticatedError(f"the header {header} is missing")
    if "," in token:  # no part of a token holds one: the header was sent twice
        raise UnauthenticatedError(f"the header {header} is there more than once")
    parts = token.split(".")
    if len(token) > _MAX_HEADER or len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        raise UnauthenticatedError(f"the header {header} holds no signed token")
    return parts


def _read_header(parts: list[str]) -> Mapping[str, Any]:
    try:
        # The balancer pads its base64url, contrary to RFC 7515; others do not.
        header = json.loads(base64.urlsafe_b64decode(parts[0].rstrip("=") + "=" * (-len(parts[0].rstrip("=")) % 4)))
    except ValueError as exc:
        raise UnauthenticatedError("the token's header is malformed") from exc
    if not isinstance(header, dict):
        raise UnauthenticatedError("the token's header is malformed")
    return header


def _decode(parts: list[str], key: Any, algorithm: str, issuer: str) -> Mapping[str, Any]:
    """Verify the signature over the bytes as received, then the expiry, then the issuer."""
    options = {"verify_aud": False, "require_exp": True, "leeway": _LEEWAY}
    try:
        claims: Mapping[str, Any] = jwt.decode(
            ".".join(parts), key, algorithms=[algorithm], issuer=issuer, options=options
        )
    except (JOSEError, ValueError, TypeError, KeyError) as exc:
        raise UnauthenticatedError("the token does not verify or has expired") from exc
    if claims.get("iss") != issuer:  # jwt.decode lets a token without the claim pass
        raise UnauthenticatedError("the token is of another issuer")
    return claims
