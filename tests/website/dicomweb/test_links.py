"""Links for viewers and shares: what they open, never wider than either may, until when, and that no token stays."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from dicomweb_client.api import DICOMwebClient

from common.auth.identity import Identity
from tests.helpers.research_store import make_instance
from tests.website.conftest import GROUPS
from tests.website.dicomweb.conftest import Archive


@pytest.fixture
def archive(make_archive, tmp_path) -> Archive:
    # A viewer is installed, as far as its list of files goes.
    index = {"etag": "x", "immutable": False, "worker": False}
    (tmp_path / "contents.json").write_text(json.dumps({"version": "1", "files": {"index.html": index}}))
    return make_archive(
        {
            "ct": make_instance(1, 1, 1, 1),
            "mr": make_instance(1, 1, 2, 1, Modality="MR", SeriesDescription="Hidden series"),
            "prior": make_instance(1, 2, 1, 1),
        },
        RPACS_VIEWER_FOLDER=str(tmp_path),
    )


def study_of(archive: Archive, number: int = 0) -> str:
    return archive.store.parents[archive.store.ids[number]][0]


def post(archive: Archive, user: str, path: str, **form: str):
    client = archive.portal.client(user)
    given = {"label": "second opinion", "hours": "24", **form}
    return client.post(path, data=given, headers={"X-CSRFToken": archive.portal.csrf(client)})


def viewer_root(archive: Archive, user: str = "ct", **form: str) -> str:
    """Make a viewer's link by the form; returns the address that it shows."""
    answer = post(archive, user, f"/studies/{study_of(archive)}/viewer-link", **form)
    assert answer.status_code == 200, answer.text
    return re.search(r'id="root">([^<]+)<', answer.text)[1]


def share(archive: Archive, user: str, **form: str) -> str:
    answer = post(archive, user, f"/studies/{study_of(archive)}/links", **form)
    assert answer.status_code == 200, answer.text
    return re.search(r'id="share">[^<]+/shares/([0-9a-f-]+)<', answer.text)[1]


def test_a_viewers_link_opens_one_study(archive) -> None:
    root = viewer_root(archive)
    assert root.startswith(f"{archive.root}/links/rpacs_link_")
    client = DICOMwebClient(root)  # sends no header
    (study,) = client.search_for_studies()
    assert study["00081190"]["Value"][0] == root + archive.path("ct", "study")
    assert len(client.search_for_studies(search_filters={"PatientID": "P1"})) == 1
    (series,) = client.search_for_series(archive.uids("ct")[0])
    assert series["00080060"]["Value"] == ["CT"]
    metadata = client.retrieve_instance_metadata(*archive.uids("ct"))
    address = metadata["7FE00010"]["BulkDataURI"]
    assert address.startswith(root)
    assert client.retrieve_bulkdata(address)[0] == archive.datasets["ct"].PixelData
    for name in ("mr", "prior"):
        assert requests.get(root + archive.path(name)).status_code == 404
    assert requests.post(f"{root}/studies", data=b"x").status_code == 403
    assert requests.get(f"{root}/studies").headers["Referrer-Policy"] == "no-referrer"
    assert requests.get(f"{archive.url}/dicom-web/links/rpacs_link_{'x' * 43}/studies").status_code == 401


def test_the_token_is_nowhere(archive) -> None:
    root = viewer_root(archive)
    token = root.rsplit("/", 1)[1]
    for path in ("/studies", archive.path("ct") + "/frames/1", "/no/such/path", "/studies?x=" + token):
        requests.get(root + path)
    requests.get(f"{archive.url}//dicom-web/links/{token}/studies")
    requests.get(f"{archive.url}/search?q={token}", allow_redirects=False)
    kept = [str(archive.portal.rows()), archive.portal.log_file.read_text()]
    with archive.portal.database.owner.transaction() as cursor:
        cursor.execute("SELECT l::text FROM research.links l")
        kept.append(str(cursor.fetchall()))
    assert "rpacs_…" in kept[0]  # it was looked for where it would be
    assert [text for text in kept if token in text] == []


def test_the_audit_trail_says_which_link(archive) -> None:
    requests.get(viewer_root(archive) + archive.path("ct") + "/frames/1").raise_for_status()
    link = archive.portal.services.links.table.list("ct")[0]
    assert link.last_used_at is not None
    rows = [row for row in archive.portal.rows() if row["action"] == "dicomweb"]
    assert [(row["user"], row["link"], row["phase"]) for row in rows] == [
        ("ct", link.id, "begin"),
        ("ct", link.id, "end"),
    ]


@pytest.mark.parametrize("how", ["expired", "revoked", "disabled", "ended", "lapsed", "no longer permitted"])
def test_a_viewers_link_ends(archive, how) -> None:
    root = viewer_root(archive)
    address = root + archive.path("ct") + "/frames/1"
    assert requests.get(address).status_code == 200
    services, (link,) = archive.portal.services, archive.portal.services.links.table.list("ct")
    wanted = 401
    if how == "expired":
        with archive.portal.database.owner.transaction() as cursor:
            cursor.execute("UPDATE research.links SET expires_at = now()")
    elif how == "revoked":
        assert post(archive, "full", f"/links/{link.id}/revoke").status_code == 404
        assert requests.get(address).status_code == 200
        assert post(archive, "ct", f"/links/{link.id}/revoke").status_code == 303
    elif how == "disabled":
        post(archive, "admin", "/users/disable", name="ct")
    elif how == "ended":
        post(archive, "admin", "/users/revoke", name="ct")
    elif how == "lapsed":
        services.users._directory = None
        with archive.portal.database.owner.transaction() as cursor:
            cursor.execute("UPDATE research.users SET verified_at = now() - interval '25 hours'")
    else:
        file = Path(services.settings.permissions_file)
        file.write_text(file.read_text().replace("Modality StrEquals CT}", "Modality StrEquals XX}"))
        services.permissions._checked = float("-inf")
        wanted = 404
    assert requests.get(address).status_code == wanted


def test_who_makes_links(archive) -> None:
    """One makes them of what one may see oneself, by a session, for a bounded time."""
    archive.token("viewer")
    study = study_of(archive)
    assert post(archive, "viewer", f"/studies/{study}/viewer-link").status_code == 403
    assert post(archive, "viewer", f"/studies/{study}/links").status_code == 200
    assert post(archive, "ct", f"/series/{archive.store.parents[archive.store.ids[1]][1]}/links").status_code == 404
    for wrong in ({"hours": "0"}, {"hours": "169"}, {"label": " "}):
        assert post(archive, "ct", f"/studies/{study}/viewer-link", **wrong).status_code == 400
    by_token = {"Authorization": f"Bearer {archive.token('ct')}"}
    assert requests.post(f"{archive.url}/studies/{study}/viewer-link", headers=by_token).status_code == 401


def test_a_share_shows_what_both_may_see(archive) -> None:
    for owner, reader in (("full", "ct"), ("ct", "full")):
        link = share(archive, owner, recipient=reader)
        page = archive.portal.client(reader).get(f"/shares/{link}")
        assert page.status_code == 200
        assert "1 instance in 1 series" in page.text
        assert "Hidden series" not in page.text
        session = archive.session(reader)
        root = f"{archive.root}/shares/{link}"
        assert len(session.get(f"{root}/studies").json()) == 1
        assert session.get(root + archive.path("ct") + "/frames/1").status_code == 200
        for name in ("mr", "prior"):
            assert session.get(root + archive.path(name) + "/metadata").status_code == 404
        assert f"/viewer/viewer?StudyInstanceUIDs={archive.uids('ct')[0]}&amp;share={link}" in page.text


def test_a_share_is_for_whom_it_is_meant(archive) -> None:
    for_ct, for_all = share(archive, "full", recipient="ct"), share(archive, "full")
    for user, link, status in (("ct", for_ct, 200), ("admin", for_ct, 404), ("admin", for_all, 200)):
        assert archive.portal.client(user).get(f"/shares/{link}").status_code == status
    assert requests.get(f"{archive.root}/shares/{for_all}/studies").status_code == 401
    assert archive.portal.client("nobody").get(f"/shares/{for_all}").status_code == 403
    archive.portal.services.users.disable("full", by="admin")
    assert archive.portal.client("ct").get(f"/shares/{for_ct}").status_code == 404
    assert archive.session("ct").get(f"{archive.root}/shares/{for_ct}/studies").status_code == 404


def test_a_series_is_shared_alone(archive) -> None:
    series = archive.store.parents[archive.store.ids[0]][1]
    answer = post(archive, "full", f"/series/{series}/links")
    link = re.search(r"/shares/([0-9a-f-]+)<", answer.text)[1]
    session = archive.session("full")
    rows = session.get(f"{archive.root}/shares/{link}/series").json()
    assert [row["0020000E"]["Value"][0] for row in rows] == [archive.uids("ct")[1]]


def test_links_are_listed_for_their_owner(archive) -> None:
    archive.portal.services.users.record_login(Identity("ct", frozenset(GROUPS["ct"]), "local"))
    viewer_root(archive, label="for Weasis")
    share(archive, "ct", label="for a colleague")
    page = archive.portal.client("ct").get("/links").text
    assert page.count(">never<") == 2
    assert "for Weasis" in page
    assert "for a colleague" in page
    assert "for Weasis" not in archive.portal.client("full").get("/links").text


def test_links_default_to_a_day(archive) -> None:
    assert 'value="24"' in archive.portal.client("ct").get(f"/studies/{study_of(archive)}/links").text
    viewer_root(archive)
    link = archive.portal.services.links.table.list("ct")[0]
    assert link.expires_at - link.created_at == timedelta(hours=24)
