"""The console behind a listener of its own of the load balancer: administrators, and nobody else."""

import logging
import re

import pytest
from jose import jwt
from moto.server import ThreadedMotoServer

from common.errors import SettingsError
from deidentifier.commands.migrate import migrate_ingest
from deidentifier.console.app import create_app
from deidentifier.console.settings import load_settings
from tests.helpers.balancer import ARN, Balancer
from tests.helpers.cognito import REGION, make_pool

ORTHANC = "http://127.0.0.1:9"  # no page here asks it


@pytest.fixture(scope="module")
def pool():
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    pool = make_pool(f"http://{host}:{port}")
    pool.add_user("alice", "admin")
    pool.add_user("victor", "viewers")
    yield pool
    server.stop()


@pytest.fixture
def balancer():
    balancer = Balancer()
    yield balancer
    balancer.stop()


def environ_of(database):
    peers = {
        f"RPACS_{peer}_ORTHANC_{name}": value
        for peer in ("SOURCE", "DESTINATION")
        for name, value in (("HOSTNAME", ORTHANC), ("USERNAME", "u"), ("PASSWORD", "p"))
    }
    return {
        **database.environ("rpacs_deidentifier"),
        **peers,
        "RPACS_CONSOLE_PUBLIC_URL": "https://console.example",
        "RPACS_CONSOLE_SECRET_KEY": "s" * 32,
        "RPACS_CONSOLE_AUDIT_KEY": "a" * 32,
    }


@pytest.fixture
def console(database, pool, balancer):
    migrate_ingest(database.owner, "rpacs_deidentifier", "rpacs_reidentify")
    app = create_app(
        load_settings(
            {
                **environ_of(database),
                "RPACS_CONSOLE_AUTHENTICATION": "alb",
                "RPACS_CONSOLE_SIGN_OUT_URL": "https://login.example/logout?client_id=x",
                "AWS_REGION": REGION,
                "RPACS_ALB_ARN": ARN,
                "RPACS_ALB_KEYS_URL": balancer.url,
                "RPACS_COGNITO_ISSUER": pool.issuer,
                "RPACS_COGNITO_CLIENT_ID": pool.client_id,
                "RPACS_COGNITO_KEYS_URL": pool.keys_url,
            }
        )
    )
    yield app
    app.extensions["gate"].audit.close()
    app.extensions["console"].database.close()


def headers(pool, balancer, user):
    access = pool.log_in(user)["AccessToken"]
    claims = {"sub": jwt.get_unverified_claims(access)["sub"], "username": user}
    data = balancer.token(claims, issuer=pool.issuer, client=pool.client_id)
    return {"x-amzn-oidc-data": data, "x-amzn-oidc-accesstoken": access}


def test_administrators_are_in_and_nobody_else(console, pool, balancer, database):
    client = console.test_client()
    alice = headers(pool, balancer, "alice")
    assert client.get("/", headers=alice).status_code == 200
    assert client.get("/tasks", headers=headers(pool, balancer, "victor")).status_code == 403
    assert client.get("/").status_code == 401
    assert client.get("/", headers={**alice, "x-amzn-oidc-accesstoken": "a.b.c"}).status_code == 401
    console.extensions["gate"].audit.close()
    with database.owner.transaction() as cursor:
        cursor.execute("SELECT entry ->> 'user', entry ->> 'phase' FROM ingest.audit")
        rows = cursor.fetchall()
    assert {("alice", "begin"), ("victor", "refused")} <= set(rows)


def test_a_password_is_no_second_door(console):
    client = console.test_client()
    assert client.get("/login").status_code == 404
    assert client.get("/healthcheck").status_code == 200


def test_forms_need_their_token_here_too(console, pool, balancer):
    client = console.test_client()
    alice = headers(pool, balancer, "alice")
    assert client.post("/tasks/1/retry", headers=alice).status_code == 400


def test_logging_out_ends_the_balancers_session(console, pool, balancer):
    client = console.test_client()
    alice = {**headers(pool, balancer, "alice"), "Referer": "https://localhost/"}
    page = client.get("/", headers=alice, base_url="https://localhost")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]
    answer = client.post("/logout", data={"csrf_token": token}, headers=alice, base_url="https://localhost")
    assert (answer.status_code, answer.location) == (303, "https://login.example/logout?client_id=x")
    assert "AWSELBAuthSessionCookie-0" in str(answer.headers.getlist("Set-Cookie"))
    assert "https://login.example" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "RPACS_CONSOLE_ACCOUNTS_FILE"),
        ({"RPACS_CONSOLE_AUTHENTICATION": "alb"}, "RPACS_ALB_ARN"),
        (
            {"RPACS_CONSOLE_ACCOUNTS_FILE": "accounts.yaml", "RPACS_ALB_ARN": ARN},
            "refuses to run behind a load balancer",
        ),
    ],
)
def test_half_a_configuration_does_not_start(database, given, missing):
    with pytest.raises(SettingsError, match=missing):
        load_settings({**environ_of(database), **given})
