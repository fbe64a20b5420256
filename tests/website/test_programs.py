"""Under /api/ programs find what they search and fetch, and nothing else."""

from __future__ import annotations

import pytest


def test_what_is_searched_and_fetched_is_there(portal):
    client = portal.client("full")
    assert client.get("/api/search.json").get_json() == client.get("/search.json").get_json()


@pytest.mark.parametrize(
    "path", ["/api/users", "/api/audit", "/api/orthanc/system", "/api/login", "/api/tokens", "/api/"]
)
def test_nothing_else_is(portal, path):
    assert portal.client("admin").get(path).status_code == 404


def test_without_a_login_it_is_401_and_no_redirect(portal):
    answer = portal.client().get("/api/search.json", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (401, "application/json")
