"""Logging in at an OpenID provider by authorization code with PKCE."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc.jwk import OctKey, RSAKey

from tests.helpers.openid_provider import Provider


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture
def oidc_portal(make_portal, provider):
    return make_portal(
        RPACS_AUTHENTICATION="oidc",
        RPACS_OIDC_ISSUER=provider.url,
        RPACS_OIDC_CLIENT_ID=provider.client.client_id,
        RPACS_OIDC_CLIENT_SECRET=provider.client.secret,
    )


def _go(client, target="/sessions"):
    """Go to the provider and let it send the browser back; returns where to."""
    away = client.get(f"/login?next={target}")
    assert away.status_code == 302
    back = requests.get(away.location, allow_redirects=False, timeout=10)
    assert back.status_code == 302, back.text
    return away.location, urlsplit(back.headers["Location"])


def _come_back(client, back):
    return client.get(f"{back.path}?{back.query}")


def test_a_login_with_state_nonce_and_pkce(oidc_portal, provider):
    client = oidc_portal.client()
    away, back = _go(client)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(away).query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    answer = _come_back(client, back)
    assert (answer.status_code, answer.location) == (303, "/sessions")
    assert client.get("/sessions").status_code == 200
    row = oidc_portal.rows()[-1]
    assert (row["user"], row["groups"], row["profiles"]) == ("alice", ["ct"], ["CtOnly"])
    assert "code_verifier=" in provider.requests[-1]


def test_the_code_is_not_logged(oidc_portal):
    client = oidc_portal.client()
    _, back = _go(client)
    _come_back(client, back)
    code = parse_qs(back.query)["code"][0]
    assert code not in str(oidc_portal.rows())
    assert code not in oidc_portal.log_file.read_text()


def test_a_callback_of_another_browser_is_refused(oidc_portal):
    """Login CSRF: an attacker's code in a victim's browser, which has no such state."""
    _, back = _go(oidc_portal.client())
    assert _come_back(oidc_portal.client(), back).status_code == 401


def test_a_code_works_once(oidc_portal):
    client = oidc_portal.client()
    _, back = _go(client)
    assert _come_back(client, back).status_code == 303
    assert _come_back(client, back).status_code == 401


def test_a_code_without_its_verifier_is_refused_by_the_provider(oidc_portal, provider):
    """PKCE: a stolen code is worth nothing in another login, even with the right state."""
    victim, thief = oidc_portal.client(), oidc_portal.client()
    _, stolen = _go(victim)
    _, own = _go(thief)
    mixed = f"/login/callback?code={parse_qs(stolen.query)['code'][0]}&state={parse_qs(own.query)['state'][0]}"
    assert thief.get(mixed).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": ["another"]},
        {"nonce": "another"},
        {"exp": 1},
        {"preferred_username": None},
        {"preferred_username": ""},
    ],
)
def test_a_wrong_claim_is_refused(oidc_portal, provider, claims):
    provider.tamper = claims
    client = oidc_portal.client()
    assert _come_back(client, _go(client)[1]).status_code == 401
    assert client.get("/sessions").status_code == 302
    assert oidc_portal.rows()[-1]["refused"] == "a login failed"


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # of the provider, which signs so on purpose
@pytest.mark.parametrize("algorithm", ["another key", "HS256", "none"])
def test_a_wrong_signature_is_refused(oidc_portal, provider, algorithm):
    if algorithm == "another key":
        provider.signing_key = RSAKey.generate_key(2048, {"kid": "key-1"}, auto_kid=False)
    else:
        provider.algorithm = algorithm
        provider.signing_key = OctKey.import_key(provider.client.secret * 2)
    client = oidc_portal.client()
    assert _come_back(client, _go(client)[1]).status_code == 401


def test_a_provider_that_names_another_issuer_is_refused(oidc_portal, provider):
    provider.issuer_override = "https://evil.example"
    assert oidc_portal.client().get("/login", headers={"Accept": "application/json"}).status_code == 401


def test_an_error_of_the_provider_is_said(oidc_portal):
    assert oidc_portal.client().get("/login/callback?error=access_denied&state=x").status_code == 401


def test_logging_out_goes_to_the_provider(oidc_portal, provider):
    client = oidc_portal.client()
    _come_back(client, _go(client)[1])
    answer = client.post("/logout", headers={"X-CSRFToken": oidc_portal.csrf(client)})
    assert answer.location.startswith(f"{provider.url}/logout?client_id=portal&post_logout_redirect_uri=")
    assert provider.url in client.get("/login/out").headers["Content-Security-Policy"]
    assert client.get("/sessions").status_code == 302


def test_a_provider_that_is_away_is_said(make_portal):
    portal = make_portal(
        RPACS_AUTHENTICATION="oidc", RPACS_OIDC_ISSUER="http://127.0.0.1:9", RPACS_OIDC_CLIENT_ID="portal"
    )
    assert portal.client().get("/login").status_code == 503
