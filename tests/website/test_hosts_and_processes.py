"""The portal as a process, on one host name or two, under limits."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest
import requests

from common.errors import SettingsError
from demo.servers.process import free_port, wait_until
from website.settings import load_settings

ORTHANC = "http://orthanc.example"


@pytest.fixture
def two_hosts(make_portal):
    return make_portal(RPACS_ORTHANC_PUBLIC_URL=ORTHANC)


def test_orthanc_on_a_host_of_its_own(two_hosts):
    client = two_hosts.client("admin")
    there = f"{ORTHANC}/orthanc/system?a=b"
    assert client.get("/orthanc/system?a=b").location == there
    assert client.delete("/orthanc/patients/1", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 404
    assert client.get("/tokens").status_code == 200
    # The portal's cookie is bound to its host; there, a login is needed too.
    assert client.get(there).location == "/login?next=%2Forthanc%2Fsystem%3Fa%3Db"
    assert client.get("/login", base_url=ORTHANC).status_code == 200
    for path in ("/tokens", "/audit", "/sessions", "/users"):
        assert client.get(path, base_url=ORTHANC).status_code == 404


def test_costly_requests_are_limited_per_user(make_portal):
    portal = make_portal(RPACS_COSTLY_REQUESTS_PER_MINUTE="10")
    client = portal.client("admin")
    statuses = [client.get("/audit").status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    assert int(client.get("/audit").headers["Retry-After"]) <= 60
    assert portal.client("auditor").get("/audit").status_code == 200


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"RPACS_AUTHENTICATION": "oidc"}, "RPACS_OIDC_ISSUER is missing"),
        ({"RPACS_AUTHENTICATION": "alb"}, "RPACS_ALB_ARN is missing"),
        ({"RPACS_AUTHENTICATION": ""}, "RPACS_ALB_ARN is missing"),
        ({"RPACS_AUTHENTICATION": "none"}, "must be one of alb, oidc, local"),
        ({"RPACS_ACCOUNTS_FILE": ""}, "RPACS_ACCOUNTS_FILE is missing"),
        ({"RPACS_ALB_ARN": "arn:aws:x"}, "refuses to run behind a load balancer"),
        ({"RPACS_SECRET_KEY": "short"}, "RPACS_SECRET_KEY must have at least 32"),
        ({"RPACS_AUDIT_KEY": ""}, "RPACS_AUDIT_KEY is missing"),
    ],
)
def test_settings_that_do_not_fit_are_refused(portal_environ, changes, problem):
    with pytest.raises(SettingsError) as caught:
        load_settings({**portal_environ(), **changes})
    assert problem in str(caught.value)
    assert "short" not in str(caught.value)


def test_the_portal_as_a_process(portal_environ, python, root):
    """Starts, answers, and writes the head of the audit trail to its log when it is stopped."""
    port = free_port()
    environ = {**os.environ, **portal_environ(RPACS_PUBLIC_URL=f"http://127.0.0.1:{port}")}
    command = [python, "-m", "gunicorn", "website.wsgi:app", "--bind", f"127.0.0.1:{port}"]
    command += ["--config", "python:website.gunicorn_settings"]
    process = subprocess.Popen(command, cwd=root, env=environ, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), "the portal")
        session = requests.Session()
        page = session.get(f"{url}/login", timeout=10).text
        form = {"name": "full", "password": "correct horse battery"}
        form["csrf_token"] = re.search(r'name="csrf_token" value="([^"]+)"', page).group(1)
        answer = session.post(f"{url}/login", data=form, timeout=30, allow_redirects=False)
        assert answer.status_code == 303
        assert session.get(f"{url}/sessions", timeout=10).status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert re.search(r"audit head \d+:[0-9a-f]{64}", log)
    assert "correct horse" not in log


def _answers(url):
    try:
        return requests.get(f"{url}/healthcheck", timeout=2).ok
    except requests.RequestException:
        return False


def test_a_portal_without_settings_says_which(python, root):
    command = [python, "-c", "import website.wsgi"]
    answer = subprocess.run(command, cwd=root, env={}, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "RPACS_POSTGRESQL_HOSTNAME is missing" in answer.stderr
    assert "Traceback" not in answer.stderr
