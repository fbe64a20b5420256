"""Logging in and out with local accounts, sessions, throttling, headers."""

from __future__ import annotations

import re

import pytest

from common.auth.accounts import Accounts
from tests.website.conftest import PASSWORD


def _log_in(portal, name="full", password=PASSWORD, **data):
    client = portal.client()
    page = client.get("/login").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page).group(1)
    return client, client.post("/login", data={"name": name, "password": password, "csrf_token": token, **data})


def test_a_login_leads_where_it_was_asked_for_and_sets_a_guarded_cookie(portal):
    client, answer = _log_in(portal, next="/purpose?next=/x")
    assert (answer.status_code, answer.location) == (303, "/purpose?next=/x")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert client.get("/purpose").status_code == 200


def test_cookies_are_secure_unless_the_portal_is_on_plain_http(make_portal):
    portal = make_portal(RPACS_PUBLIC_URL="https://portal.example")
    client = portal.client()
    cookie = client.get("/login", base_url="https://portal.example").headers["Set-Cookie"]
    assert cookie.startswith("__Host-research-pacs=")
    assert "Secure" in cookie


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)", "evil"],
)
def test_no_open_redirects(portal, target):
    _, answer = _log_in(portal, next=target)
    assert answer.location == "/"


@pytest.mark.parametrize(("name", "password"), [("full", "wrong password"), ("stranger", PASSWORD), ("", "")])
def test_a_wrong_login_is_refused_and_audited(portal, name, password):
    client, answer = _log_in(portal, name, password)
    assert answer.status_code == 401
    assert "user name or password is wrong" in answer.text
    assert client.get("/purpose", headers={"Accept": "application/json"}).status_code == 401
    (row,) = portal.rows()
    assert row["refused"] == "a login failed"
    assert row.get("attempted") == ("full" if name == "full" else None)
    assert password not in str(row) or not password


def test_a_login_needs_the_forms_token(portal):
    answer = portal.client().post("/login", data={"name": "full", "password": PASSWORD})
    assert answer.status_code == 400


def test_logins_are_throttled_per_user_and_address(portal):
    for _ in range(10):
        portal.services.login_pair.hit("127.0.0.1 full")
    _, answer = _log_in(portal)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert _log_in(portal, "ct")[1].status_code == 303


def test_a_login_ends_the_session_before_it(portal):
    """Against session fixation: what an attacker planted in the cookie is gone."""
    client = portal.client("ct")
    with client.session_transaction() as session:
        session["purpose"] = "planted"
        before = dict(session)
    page = client.get("/login").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page).group(1)
    client.post("/login", data={"name": "full", "password": PASSWORD, "csrf_token": token})
    with client.session_transaction() as session:
        assert session["token"] != before["token"]
        assert "purpose" not in session


def test_logging_out_revokes_the_session_on_the_server(portal):
    client = portal.client("full")
    with client.session_transaction() as session:
        kept = dict(session)
    answer = client.post("/logout", headers={"X-CSRFToken": portal.csrf(client)})
    assert answer.status_code == 303
    thief = portal.client()
    with thief.session_transaction() as session:
        session.update(kept)
    assert thief.get("/purpose").location.startswith("/login")


@pytest.mark.parametrize(("column", "age"), [("seen_at", "61 minutes"), ("created_at", "13 hours")])
def test_sessions_expire(portal, column, age):
    client = portal.client("full")
    with portal.database.owner.transaction() as cursor:
        cursor.execute(f"UPDATE research.sessions SET {column} = now() - interval '{age}'")
    assert client.get("/purpose").location == "/login?next=%2Fpurpose"


def test_a_disabled_user_is_out_at_once(portal):
    client = portal.client("full")
    portal.services.users.disable("full", by="admin")
    assert client.get("/purpose").status_code == 302
    assert _log_in(portal)[1].status_code == 401


def test_a_disabled_account_is_out_at_once_and_another_group_holds_at_once(portal):
    client = portal.client("full")
    accounts = Accounts(portal.services.accounts._path)
    accounts.set_groups("full", ["admin"])
    client.get("/purpose")
    assert portal.rows()[-1]["groups"] == ["admin"]
    accounts.set_disabled("full", True)
    assert client.get("/purpose").status_code == 302


def test_a_forged_cookie_is_no_session(portal):
    client = portal.client()
    client.set_cookie("research-pacs", "eyJ0b2tlbiI6ImEifQ.aaaa.bbbb")
    assert client.get("/purpose").status_code == 302


def test_every_answer_has_the_headers(portal):
    for answer in (portal.client().get("/login"), portal.client().get("/nothing"), portal.client("ct").get("/purpose")):
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_large_form_is_refused(portal):
    client = portal.client("full")
    answer = client.post("/purpose", data={"purpose": "x" * 2**21}, headers={"X-CSRFToken": portal.csrf(client)})
    assert answer.status_code == 413


def test_programs_get_a_status_and_people_the_login_page(portal):
    client = portal.client()
    assert client.get("/purpose", headers={"Accept": "application/json"}).status_code == 401
    assert client.get("/purpose", headers={"Authorization": "Bearer x"}).status_code == 401
    assert client.get("/purpose", headers={"Accept": "text/html"}).location == "/login?next=%2Fpurpose"
