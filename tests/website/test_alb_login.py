"""The portal behind a load balancer: every refusal is 401 and logged, and its headers count nowhere else."""

from __future__ import annotations

import json
import logging

import pytest
from jose import jwt
from moto.server import ThreadedMotoServer

from common.auth.cognito import CognitoDirectory
from common.errors import UnauthenticatedError
from tests.helpers.balancer import ARN, Balancer
from tests.helpers.cognito import REGION, make_pool


@pytest.fixture(scope="module")
def pool():
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    pool = make_pool(f"http://{host}:{port}")
    pool.add_user("alice", "ct")
    yield pool
    server.stop()


@pytest.fixture
def balancer():
    balancer = Balancer()
    yield balancer
    balancer.stop()


@pytest.fixture
def alb_portal(make_portal, pool, balancer):
    return make_portal(
        RPACS_AUTHENTICATION="alb",
        AWS_REGION=REGION,
        RPACS_ALB_ARN=ARN,
        RPACS_ALB_KEYS_URL=balancer.url,
        RPACS_COGNITO_ISSUER=pool.issuer,
        RPACS_COGNITO_CLIENT_ID=pool.client_id,
        RPACS_COGNITO_KEYS_URL=pool.keys_url,
        RPACS_SIGN_OUT_URL="https://login.example/logout?client_id=x",
    )


@pytest.fixture
def headers(pool, balancer):
    access = pool.log_in("alice")["AccessToken"]
    claims = {"sub": jwt.get_unverified_claims(access)["sub"], "username": "alice"}
    data = balancer.token(claims, issuer=pool.issuer, client=pool.client_id)
    return {"x-amzn-oidc-data": data, "x-amzn-oidc-accesstoken": access}


def test_the_balancers_user_is_in(alb_portal, headers):
    answer = alb_portal.client().get("/purpose", headers=headers)
    assert answer.status_code == 200
    row = alb_portal.rows()[0]
    assert (row["user"], row["groups"], row["profiles"]) == ("alice", ["ct"], ["CtOnly"])
    assert alb_portal.services.users.find("alice").method == "alb"


@pytest.mark.parametrize("path", ["/purpose", "/sessions", "/orthanc/system"])
def test_every_refusal_is_401_and_logged_never_a_redirect(alb_portal, headers, path, caplog):
    bad = {**headers, "x-amzn-oidc-data": headers["x-amzn-oidc-data"][:-8] + "AAAAAAA="}
    doubled = [*headers.items(), ("x-amzn-oidc-data", headers["x-amzn-oidc-data"])]
    for given in ({}, bad, doubled, {"x-amzn-oidc-data": headers["x-amzn-oidc-data"]}):
        answer = alb_portal.client().get(path, headers=given)
        assert answer.status_code == 401
    assert len([row for row in alb_portal.rows() if row["status"] == 401]) == 4
    assert caplog.text.count("a request was refused") == 4
    assert headers["x-amzn-oidc-data"][:40] not in caplog.text + json.dumps(alb_portal.rows())
    assert alb_portal.client().get("/purpose", headers=headers).status_code == 200


def test_the_headers_mean_nothing_with_other_logins(portal, headers):
    answer = portal.client().get("/purpose", headers=headers)
    assert answer.location == "/login?next=%2Fpurpose"
    assert portal.client("full").get("/purpose", headers=headers).status_code == 200
    assert portal.rows()[-1]["user"] == "full"


def test_public_routes_ignore_the_headers(alb_portal):
    assert alb_portal.client().get("/healthcheck", headers={"x-amzn-oidc-data": "x"}).status_code == 200
    assert alb_portal.client().get("/login").status_code == 404  # the balancer logs in, not we


def test_a_disabled_user_is_refused(alb_portal, headers):
    alb_portal.client().get("/purpose", headers=headers)
    alb_portal.services.users.disable("alice", by="admin")
    assert alb_portal.client().get("/purpose", headers=headers).status_code == 401


def test_another_site_cannot_change_state(alb_portal, headers):
    """The balancer adds its headers to whatever a browser sends, so they are no protection against CSRF."""
    client = alb_portal.client()
    assert client.post("/purpose", data={"purpose": "abc"}, headers=headers).status_code == 400
    token = {"X-CSRFToken": alb_portal.csrf(client)}
    assert client.post("/purpose", data={"purpose": "abc"}, headers={**headers, **token}).status_code == 303


def test_logging_out_ends_the_balancers_session_and_cognitos(alb_portal, headers):
    client = alb_portal.client()
    client.set_cookie("AWSELBAuthSessionCookie-7", "x")
    answer = client.post("/logout", headers={**headers, "X-CSRFToken": alb_portal.csrf(client)})
    assert answer.location == "https://login.example/logout?client_id=x"
    expired = [cookie for cookie in answer.headers.getlist("Set-Cookie") if cookie.startswith("AWSELBAuth")]
    assert {cookie.split("=")[0][-1] for cookie in expired} == {"0", "1", "2", "3", "7"}
    assert all("Max-Age=0" in cookie and "Path=/" in cookie for cookie in expired)
    assert "https://login.example" in answer.headers["Content-Security-Policy"]


def test_cognito_tells_groups_as_they_are_now(pool, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    directory = CognitoDirectory(pool.id, region=REGION, endpoint=pool.endpoint, remember=0)
    pool.add_user("carol", "mr", "pt")
    assert directory.groups("carol") == {"mr", "pt"}
    pool.client.admin_remove_user_from_group(UserPoolId=pool.id, Username="carol", GroupName="pt")
    assert directory.groups("carol") == {"mr"}
    pool.client.admin_disable_user(UserPoolId=pool.id, Username="carol")
    with pytest.raises(UnauthenticatedError):
        directory.groups("carol")
    with pytest.raises(UnauthenticatedError):
        directory.groups("nobody")


@pytest.mark.parametrize("path", ["/api/search.json", "/dicom-web/studies"])
def test_on_paths_for_programs_the_cookie_counts_that_a_page_has_set_and_no_header(alb_portal, headers, path):
    client = alb_portal.client()
    assert client.get(path, headers=headers).status_code == 401
    assert client.get("/purpose", headers=headers).status_code == 200
    assert client.get(path).status_code == 200
    assert alb_portal.rows()[-1]["user"] == "alice"
    assert client.get("/purpose").status_code == 401  # where the balancer logs in, our cookie alone is no proof
    client.post("/logout", headers={**headers, "X-CSRFToken": alb_portal.csrf(client)})
    assert client.get(path).status_code == 401


def test_another_user_of_the_balancer_gets_another_session(alb_portal, headers, pool, balancer):
    client = alb_portal.client()
    client.get("/purpose", headers=headers)
    pool.add_user("dora", "full")
    access = pool.log_in("dora")["AccessToken"]
    claims = {"sub": jwt.get_unverified_claims(access)["sub"], "username": "dora"}
    data = balancer.token(claims, issuer=pool.issuer, client=pool.client_id)
    client.get("/purpose", headers={"x-amzn-oidc-data": data, "x-amzn-oidc-accesstoken": access})
    client.get("/api/search.json")
    assert alb_portal.rows()[-1]["user"] == "dora"
