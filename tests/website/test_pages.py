"""What the pages hand out: the permitted instances and nothing else, whole, in every shape."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import zipfile

import pytest
from PIL import Image

from tests.helpers.research_store import ResearchStore, make_instance, mixed_files, multi_frame
from website.index import build_document


@pytest.fixture
def store(portal_with_orthanc) -> ResearchStore:
    services = portal_with_orthanc.services
    store = ResearchStore(services.orthanc, services.index)
    store.add(*mixed_files())
    return store


@pytest.fixture
def portal_with_orthanc(make_portal, research_orthanc):
    user, password = research_orthanc.auth
    return make_portal(
        RPACS_ORTHANC_HOSTNAME=research_orthanc.url, RPACS_ORTHANC_USERNAME=user, RPACS_ORTHANC_PASSWORD=password
    )


def found(answer) -> set[str]:
    """Return the instances of a search result in JSON."""
    series = json.loads(answer.data)["Series"]
    return {each["InstanceId"] for one in series for each in one["Instances"]}


def names(answer) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        return {name.rsplit("/", 1)[1].removesuffix(".dcm") for name in archive.namelist()}


def test_a_ct_only_user_gets_ct_only(portal_with_orthanc, store) -> None:
    """Version 1.0 handed out a whole series when one instance of it was permitted."""
    client, everything = portal_with_orthanc.client("ct"), portal_with_orthanc.client("full")
    forbidden = {store.ids[place] for place in (3, 4, 6, 9)}  # MR, MR, MR in the mixed series, and NM
    permitted = set(store.ids) - forbidden
    assert found(everything.get("/search.json")) == set(store.ids)
    assert found(client.get("/search.json")) == permitted
    assert names(client.get("/search.zip")) == permitted
    study, series = store.parents[store.ids[5]]
    for path in (f"/studies/{study}", f"/series/{series}"):
        assert found(client.get(f"{path}.json")) == {store.ids[5]}
        assert names(client.get(f"{path}.zip")) == {store.ids[5]}
        assert names(everything.get(f"{path}.zip")) == {store.ids[5], store.ids[6]}
    page = client.get(f"/series/{series}").text
    assert store.ids[5] in page
    assert store.ids[6] not in page
    rows = list(csv.DictReader(io.StringIO(client.get("/search.csv?level=instance").data.decode("utf-8-sig"))))
    assert {row["OrthancInstance"] for row in rows} == permitted
    assert all(row["StudyInstanceUID"] and row["SeriesInstanceUID"] and row["SOPInstanceUID"] for row in rows)
    offered = client.get("/search/suggest", query_string={"q": "Modality StrEquals ", "at": "19"}).json["items"]
    assert [each["text"] for each in offered] == ["CT"]
    facets = client.get("/search/overview").text.split('class="facets', 1)[1].split("</aside>")[0]
    assert "Knee" not in facets
    assert "MR" not in facets


@pytest.mark.parametrize("suffix", ["", ".json", ".dcm", "/thumbnail", "/frames/1.png", "/frames/1.jpeg"])
def test_forbidden_is_as_if_it_were_not_there(portal_with_orthanc, store, suffix) -> None:
    client = portal_with_orthanc.client("ct")
    missing = "00000000-00000000-00000000-00000000-00000000"
    answers = [client.get(f"/instances/{each}{suffix}") for each in (store.ids[3], missing)]
    assert [answer.status_code for answer in answers] == [404, 404]
    # The token against forged requests is signed with the time, in seconds.
    first, second = (re.sub(rb'(name="csrf_token" value=")[^"]+', rb"\1", answer.data) for answer in answers)
    assert first.replace(store.ids[3].encode(), missing.encode()) == second


@pytest.mark.parametrize(
    "path",
    [
        "/instances/1.dcm",
        "/instances/..%2f..%2fsystem.dcm",
        "/instances/x/frames/1.png",
        "/series/.zip",
        "/studies/a.zip",
    ],
)
def test_a_wrong_argument_reaches_nothing(portal_with_orthanc, path) -> None:
    """Version 1.0 passed the arguments of downloads on to Orthanc."""
    assert portal_with_orthanc.client("full").get(path).status_code == 404


def test_without_the_download_action_there_are_no_files(portal_with_orthanc, store) -> None:
    client = portal_with_orthanc.client("viewer")
    study, series = store.parents[store.ids[0]]
    paths = (f"/instances/{store.ids[0]}.dcm", f"/series/{series}.zip", f"/studies/{study}.zip", "/search.zip")
    assert [client.get(path).status_code for path in paths] == [403] * 4
    assert client.get(f"/instances/{store.ids[0]}").status_code == 200


def test_files_are_those_of_orthanc(portal_with_orthanc, store) -> None:
    answer = portal_with_orthanc.client("full").get(f"/instances/{store.ids[0]}.dcm")
    assert answer.data == make_instance(1, 1, 1, 1)
    assert answer.headers["Content-Type"] == "application/dicom"


def test_frames_are_those_asked_for(portal_with_orthanc, store) -> None:
    """Version 1.0 ignored the number of the frame."""
    client, [cine] = portal_with_orthanc.client("full"), store.add(multi_frame(InstanceNumber=9))
    shades = []
    for frame in (1, 2, 3, 4):
        answer = client.get(f"/instances/{cine}/frames/{frame}.png")
        shades.append(Image.open(io.BytesIO(answer.data)).getpixel((5, 5)))
    assert shades == [10, 90, 170, 250]
    for frame in (0, 5):
        assert client.get(f"/instances/{cine}/frames/{frame}.png").status_code == 404
    again = client.get(f"/instances/{cine}/frames/4.png", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_every_page_of_a_long_result(make_portal, research_orthanc) -> None:
    """Version 1.0 showed the first 200 results and lost the rest."""
    user, password = research_orthanc.auth
    portal = make_portal(
        RPACS_ORTHANC_HOSTNAME=research_orthanc.url,
        RPACS_ORTHANC_USERNAME=user,
        RPACS_ORTHANC_PASSWORD=password,
        RPACS_RESULTS_PER_PAGE="50",
    )
    files = [make_instance(1, 1, number // 10, number) for number in range(230)]
    portal.services.index.add([build_document(None, data) for data in files])
    client, shown, path = portal.client("full"), [], "/search?level=instance"
    while path:
        page = client.get(path).text
        shown += [part.split('"')[0] for part in page.split('<a href="/instances/')[1:]]
        following = page.split('rel="next" href="')[1:]
        path = following[0].split('"')[0].replace("&amp;", "&") if following else ""
    assert len(shown) == len(set(shown)) == 230


def test_cells_are_no_formulas(portal_with_orthanc, store) -> None:
    store.add(make_instance(9, 9, 1, 1, StudyDescription="=HYPERLINK(1)"))
    text = portal_with_orthanc.client("full").get("/search.csv?columns=StudyDescription").data.decode("utf-8-sig")
    assert "'=HYPERLINK(1)" in text
    assert "\n=HYPERLINK" not in text.replace(",", "\n")


def test_chosen_columns(portal_with_orthanc, store) -> None:
    client = portal_with_orthanc.client("full")
    rows = [
        json.loads(line) for line in client.get("/search.jsonl?level=series&columns=Modality,Rows").data.splitlines()
    ]
    assert all(set(row) == {"OrthancSeries", "Instances", "Modality", "Rows"} for row in rows)
    answer = client.get("/search.csv?columns=Modalty")
    assert answer.status_code == 400
    assert "did you mean Modality" in answer.json["message"]


def test_dicom_json_on_request(portal_with_orthanc, store) -> None:
    answer = portal_with_orthanc.client("full").get("/search.json", headers={"Accept": "application/dicom+json"})
    assert answer.headers["Content-Type"].startswith("application/dicom+json")
    assert {data["00080060"]["Value"][0] for data in json.loads(answer.data)} >= {"CT", "MR"}


def test_a_query_cannot_escape_the_filter(portal_with_orthanc, store) -> None:
    """Version 1.0 checked that parentheses balance, and glued texts together."""
    client = portal_with_orthanc.client("ct")
    for query in ("Modality Exists) OR (Modality Exists", "Modality Exists OR Modality StrEquals MR"):
        answer = client.get("/search.json", query_string={"q": query})
        assert answer.status_code == 400 or not found(answer) & {store.ids[3], store.ids[4], store.ids[6]}


def test_a_search_is_audited_with_its_meaning(portal_with_orthanc, store) -> None:
    portal_with_orthanc.client("full").get("/search?q=Modality+StrEquals+MR")
    row = next(row for row in portal_with_orthanc.rows() if row.get("query"))
    assert row["query"] == "Modality StrEquals MR"
    assert row["counts"]["instances"] == 3


def test_the_builder_and_the_facets_write_the_query(portal_with_orthanc, store) -> None:
    client = portal_with_orthanc.client("full")
    given = {"q": "Modality StrEquals CT", "tag": "StudyDescription", "operator": "StrEquals", "value": 'a "b"'}
    answer = client.get("/search/add", query_string={**given, "join": "OR"})
    assert "StudyDescription+StrEquals" in answer.headers["Location"]
    shown = client.get(answer.headers["Location"])
    assert shown.status_code == 200
    assert (
        client.get("/search/add", query_string={**given, "tag": "Nonsense"}, follow_redirects=True).status_code == 400
    )


def test_browsers_keep_static_files_while_they_are_the_same(portal) -> None:
    page = portal.client().get("/login").text
    addresses = re.findall(r'(?:src|href)="((?:/bootstrap|/look)?/static/[^"]+)"', page)
    assert len(addresses) >= 4
    for address in addresses:
        answer = portal.client().get(html.unescape(address))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert portal.client().get(addresses[0].split("?")[0]).headers["Cache-Control"] == "no-cache"
    assert portal.client().get("/static/nothing.css").status_code == 404


def test_the_overview_is_on_the_page_too(portal_with_orthanc, store) -> None:
    """Without a script a link shows it; once it is known, the page brings it along."""
    client = portal_with_orthanc.client("full")
    query = "?q=Modality+In+(CT,+MR)"
    first = client.get(f"/search{query}").text
    assert "data-load" in first
    assert 'class="facets' not in first
    assert "StudyDescription+StrEquals+Knee" in client.get(f"/search{query}&overview=1").text
    assert 'class="facets' in client.get(f"/search{query}").text
    assert client.get("/search/overview?q=Modality+Nonsense").status_code == 400


def test_an_overview_changes_with_the_index(portal_with_orthanc, store) -> None:
    client, index = portal_with_orthanc.client("full"), portal_with_orthanc.services.index
    before = client.get("/search/overview").text
    document = index.document(store.ids[3])
    index.remove([store.ids[3]])
    assert client.get("/search/overview").text != before
    index.add([document])
    assert client.get("/search/overview").text == before


def test_status_where_the_sides_share_no_database(portal_with_orthanc) -> None:
    assert "another database" in portal_with_orthanc.client("admin").get("/status").text
    assert portal_with_orthanc.client("full").get("/status").status_code == 403


def test_searches_can_be_saved_and_removed(portal_with_orthanc) -> None:
    client = portal_with_orthanc.client("full")
    form = {"csrf_token": portal_with_orthanc.csrf(client), "q": "Modality StrEquals CT", "name": "mine"}
    assert client.post("/searches", data=form).status_code == 303
    assert "mine" in client.get("/searches").text
    assert client.post("/searches", data={**form, "q": "Modality Nonsense"}).status_code == 400
    assert client.post("/searches/1/delete", data=form).status_code == 303
    assert "mine" not in client.get("/searches").text


def test_a_download_while_orthanc_is_away_is_an_error_page_not_a_broken_file(portal, store) -> None:
    """The portal's own Orthanc is on a port where nobody listens."""
    client = portal.client("full")
    study, series = store.parents[store.ids[0]]
    for path in (f"/studies/{study}.zip", f"/series/{series}.zip", "/search.zip", f"/instances/{store.ids[0]}.dcm"):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (503, "text/html"), path
        assert "reload this page in a minute" in answer.text
        assert client.get(path, headers={"Accept": "*/*"}).json["error"] == "Service Unavailable"


def test_a_download_after_the_session_ended_leads_to_the_login(portal, store) -> None:
    study, _ = store.parents[store.ids[0]]
    assert portal.client().get(f"/studies/{study}.zip").location == f"/login?next=%2Fstudies%2F{study}.zip"
    answer = portal.client().post("/searches", data={"name": "n", "q": ""})
    assert answer.status_code == 401
    assert "log in, then do again" in answer.text


def test_a_viewer_that_is_not_installed_is_not_offered(portal, store) -> None:
    study, series = store.parents[store.ids[0]]
    for path in (f"/studies/{study}", f"/series/{series}"):
        assert "Open in viewer" not in portal.client("full").get(path).text


def test_patterns_of_orthancs_paths_are_shown_as_written(portal) -> None:
    page = portal.client("denied").get("/permissions").text
    assert '<code class="d-block">GET /system</code>' in page
    assert '<code class="d-block">not DELETE **</code>' in page


def test_the_series_of_a_study_are_told_apart_and_in_order(portal_with_orthanc, store) -> None:
    ids = store.add(*(make_instance(77, 1, number, 1, SeriesNumber=number) for number in (10, 9, 100)))
    study, _ = store.parents[ids[0]]
    page = portal_with_orthanc.client("full").get(f"/studies/{study}").text
    table = page.split("<table", 1)[1]
    assert re.findall(r'data-name="Series Number"><a [^>]*>(\d+)</a>', table) == ["9", "10", "100"]
    assert "Study Description" not in table
