"""API tokens: scoped, expiring, shown once, stored as a hash, bound to the groups of a recent login."""

from __future__ import annotations

import re

import pytest

from common.auth.identity import Identity
from common.errors import UnauthenticatedError
from tests.website.test_orthanc_proxy import SAME


def _make(portal, client, **fields):
    data = {"label": "script", "actions": ["see"], "days": "7", **fields}
    return client.post("/tokens", data=data, headers={"X-CSRFToken": portal.csrf(client)})


def _secret(answer):
    return re.search(r'<code id="secret">(rpacs_[\w-]{43})</code>', answer.text).group(1)


def _bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def test_a_token_is_shown_once_and_stored_as_a_hash(portal):
    client = portal.client("full")
    secret = _secret(_make(portal, client))
    page = client.get("/tokens").text
    assert "script" in page
    assert secret not in page
    with portal.database.owner.transaction() as cursor:
        cursor.execute("SELECT string_agg(t::text, '') FROM research.api_tokens t")
        assert secret not in cursor.fetchone()[0]
    assert secret not in str(portal.rows())


def test_a_token_carries_its_actions_and_no_more(portal):
    client = portal.client("admin")
    orthanc, see = (_secret(_make(portal, client, actions=[action])) for action in ("orthanc", "see"))
    # 503: the gate let it pass, and this portal's Orthanc is away.
    assert portal.client().get("/orthanc/system", headers=_bearer(orthanc)).status_code == 503
    assert portal.client().get("/orthanc/system", headers=_bearer(see)).status_code == 403


@pytest.mark.parametrize("path", ["/tokens", "/sessions", "/users", "/audit", "/audit.csv", "/purpose"])
def test_pages_of_people_take_no_token(portal, path):
    secret = _secret(_make(portal, portal.client("admin"), actions=["see", "download", "export", "orthanc"]))
    assert portal.client().get(path, headers=_bearer(secret)).status_code == 401


def test_a_token_needs_no_csrf_token_but_a_cookie_does(portal):
    secret = _secret(_make(portal, portal.client("admin"), actions=["orthanc"]))
    assert portal.client().post("/orthanc/tools/find", json={}, headers=_bearer(secret)).status_code == 503
    assert portal.client("admin").post("/orthanc/tools/find", json={}).status_code == 403
    assert portal.client("admin").post("/orthanc/tools/find", json={}, headers=SAME).status_code == 503


@pytest.mark.parametrize(
    "fields",
    [
        {"actions": ["admin"]},
        {"actions": ["orthanc"]},
        {"actions": []},
        {"label": " "},
        {"days": "0"},
        {"days": "91"},
        {"days": "x"},
    ],
)
def test_what_a_token_may_not_be(portal, fields):
    client = portal.client("ct")
    assert _make(portal, client, **fields).status_code == 400
    assert portal.services.tokens.list("ct") == []


@pytest.mark.parametrize("secret", ["", "x", "rpacs_" + "A" * 43, "rpacs_\x00"])
def test_an_unknown_token_is_refused_and_audited(portal, secret):
    assert portal.client().get("/orthanc/system", headers=_bearer(secret)).status_code == 401
    assert any("token" in row.get("refused", "") for row in portal.rows())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE research.api_tokens SET expires_at = now()",
        "UPDATE research.api_tokens SET revoked_at = now()",
        "UPDATE research.users SET disabled_at = now()",
    ],
)
def test_a_token_ends(portal, statement):
    secret = _secret(_make(portal, portal.client("admin"), actions=["orthanc"]))
    with portal.database.owner.transaction() as cursor:
        cursor.execute(statement)
    assert portal.client().get("/orthanc/system", headers=_bearer(secret)).status_code == 401


def test_download_taken_away_takes_tokens_away(portal, tmp_path):
    secret = _secret(_make(portal, portal.client("denied"), actions=["orthanc"]))
    assert portal.client().get("/orthanc/system", headers=_bearer(secret)).status_code == 503
    file = tmp_path / "permissions.yaml"
    file.write_text(file.read_text().replace("Profiles: [NoChanges, Metadata]", "Profiles: ViewCt"))
    portal.services.permissions._interval = 0
    assert portal.client().get("/orthanc/system", headers=_bearer(secret)).status_code == 403
    assert portal.client("viewer").get("/tokens").status_code == 403


def test_groups_are_used_while_the_login_is_recent(portal):
    """Without a directory to ask: the kept groups count for a day, then the token answers 401."""
    users = portal.services.users
    users._directory = None
    secret = _secret(_make(portal, portal.client("admin"), actions=["orthanc"]))
    client = portal.client()
    with portal.database.owner.transaction() as cursor:
        cursor.execute("UPDATE research.users SET verified_at = now() - interval '23 hours'")
    assert client.get("/orthanc/system", headers=_bearer(secret)).status_code == 503
    with portal.database.owner.transaction() as cursor:
        cursor.execute("UPDATE research.users SET verified_at = now() - interval '25 hours'")
    answer = client.get("/orthanc/system", headers=_bearer(secret))
    assert answer.status_code == 401
    assert "log in again" in answer.json["message"]
    with pytest.raises(UnauthenticatedError, match="log in again"):
        users.groups("admin")
    users.record_login(Identity("admin", frozenset({"admin"}), "oidc"))
    assert client.get("/orthanc/system", headers=_bearer(secret)).status_code == 503


def test_a_lost_group_holds_for_tokens_at_once(portal):
    secret = _secret(_make(portal, portal.client("admin"), actions=["orthanc"]))
    portal.services.accounts.set_groups("admin", ["ct"])
    assert portal.client().get("/orthanc/system", headers=_bearer(secret)).status_code == 403


def test_nobody_revokes_somebody_elses_token(portal):
    owner, other = portal.client("full"), portal.client("ct")
    secret = _secret(_make(portal, owner))
    (token,) = portal.services.tokens.list("full")
    path = f"/tokens/{token.id}/revoke"
    assert other.post(path, headers={"X-CSRFToken": portal.csrf(other)}).status_code == 404
    assert owner.post(path).status_code == 400
    portal.services.tokens.verify(secret)
    assert owner.post(path, headers={"X-CSRFToken": portal.csrf(owner)}).status_code == 303
    with pytest.raises(UnauthenticatedError):
        portal.services.tokens.verify(secret)


def test_the_last_use_is_shown(portal):
    client = portal.client("full")
    secret = _secret(_make(portal, client))
    assert "never" in client.get("/tokens").text
    portal.services.tokens.verify(secret)
    assert "never" not in client.get("/tokens").text


def test_nobody_ends_somebody_elses_session(portal):
    victim, other = portal.client("full"), portal.client("ct")
    (session,) = portal.services.sessions.list("full")
    path = f"/sessions/{session.id}/revoke"
    assert other.post(path, headers={"X-CSRFToken": portal.csrf(other)}).status_code == 404
    assert victim.get("/sessions").status_code == 200
    assert victim.post(path, headers={"X-CSRFToken": portal.csrf(victim)}).status_code == 303
    assert victim.get("/sessions").status_code == 302


def test_administrators_disable_users_but_not_themselves(portal):
    admin, user = portal.client("admin"), portal.client("full")
    secret = _secret(_make(portal, user))
    token = {"X-CSRFToken": portal.csrf(admin)}
    assert "full" in admin.get("/users").text
    assert (
        user.post("/users/disable", data={"name": "ct"}, headers={"X-CSRFToken": portal.csrf(user)}).status_code == 403
    )
    assert admin.post("/users/disable", data={"name": "nobody at all"}, headers=token).status_code == 404
    assert admin.post("/users/disable", data={"name": "admin"}, headers=token).status_code == 403
    assert admin.post("/users/disable", data={"name": "full"}, headers=token).status_code == 303
    assert user.get("/sessions").status_code == 302
    with pytest.raises(UnauthenticatedError):
        portal.services.tokens.verify(secret)
    assert admin.post("/users/enable", data={"name": "full"}, headers=token).status_code == 303
    assert user.get("/sessions").status_code == 302  # what was revoked stays revoked
