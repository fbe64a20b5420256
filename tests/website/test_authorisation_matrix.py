"""Every route × every kind of user × permitted, forbidden and missing objects, on a real index and a real Orthanc.

The routes are read from the application; a new one without an expected answer in ``TABLE`` fails. The expectation is
written here, apart from what the view declares, so that a wrong declaration shows.
"""

from __future__ import annotations

import io
import re
import uuid
import zipfile
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydicom.uid import generate_uid

from common.auth.identity import Identity
from tests.helpers.instances import make_instance, store
from website.index import Index, build_document

USERS = (None, "nobody", "ct", "viewer", "denied", "full", "admin", "auditor")
# What each kind of user may do at all (tests/website/conftest.py has their profiles).
MAY = {
    "public": set(USERS),
    "login": set(USERS) - {None},
    "see": {"ct", "viewer", "denied", "full", "admin"},
    "download": {"ct", "denied", "full", "admin"},
    "export": {"ct", "denied", "full", "admin"},
    "store": {"full"},
    "orthanc": {"denied", "admin"},
    "admin": {"admin", "auditor"},
}
FILTERED = {"ct", "viewer"}
MARKER = "ForbiddenMarker"


@dataclass(frozen=True)
class Expect:
    """What a route needs, and what it answers to who may (for an object: to who may see it)."""

    level: str
    ok: tuple[int, ...] = (200,)
    data: dict[str, Any] = field(default_factory=dict)
    query: str = ""


SEE, DOWNLOAD, ADMIN, LOGIN = Expect("see"), Expect("download"), Expect("admin"), Expect("login")
EXPORT = Expect("export")
_SEARCH = Expect("see", query="q=Modality Exists")
_INSTANCE = "/dicom-web/studies/<uid:study_uid>/series/<uid:series_uid>/instances/<uid:instance_uid>"
_OBJECTS = {"instance_id", "series_id", "study_id", "study_uid", "series_uid", "instance_uid"}
TABLE = {
    # the door
    "GET /healthcheck": Expect("public"),
    "GET /static/<path:filename>": Expect("public", (404,)),
    "GET /bootstrap/static/<path:filename>": Expect("public", (404,)),
    "GET /look/static/<path:filename>": Expect("public", (404,)),
    "GET /login": Expect("public"),
    "POST /login": Expect("public", (401,), {"name": "x", "password": "y"}),
    "GET /login/callback": Expect("public", (404,)),
    "GET /login/out": Expect("public"),
    "POST /logout": Expect("login", (303,)),
    "GET /purpose": LOGIN,
    "POST /purpose": Expect("login", (303,), {"purpose": "EK 2024-17"}),
    # one's own
    "GET /": LOGIN,
    "GET /help": LOGIN,
    "GET /permissions": LOGIN,
    "GET /sessions": LOGIN,
    "POST /sessions/<uuid:session_id>/revoke": Expect("login", (404,)),
    "GET /searches": LOGIN,
    "POST /searches": Expect("login", (302, 303), {"name": "mine", "query": "Modality Exists"}),
    "POST /searches/<int:search_id>/delete": Expect("login", (404,)),
    "GET /tokens": DOWNLOAD,
    "POST /tokens": Expect("download", (200,), {"label": "x", "actions": "see", "days": "1"}),
    "POST /tokens/<uuid:token_id>/revoke": Expect("login", (404,)),
    # images
    "GET /search": _SEARCH,
    "GET /search.json": _SEARCH,
    "GET /search.csv": _SEARCH,
    "GET /search.jsonl": _SEARCH,
    "GET /search.zip": Expect("download", query="q=Modality Exists"),
    "GET /search/add": Expect("see", (200, 302, 303), query="tag=Modality&operator=StrEquals&value=CT"),
    "GET /search/suggest": Expect("see", query="q=Mod&at=3"),
    "GET /search/overview": Expect("see", query="q=Modality+Exists"),
    "GET /studies/<orthanc:study_id>": SEE,
    "GET /series/<orthanc:series_id>": SEE,
    "GET /instances/<orthanc:instance_id>": SEE,
    "GET /studies/<orthanc:study_id>.json": SEE,
    "GET /series/<orthanc:series_id>.json": SEE,
    "GET /instances/<orthanc:instance_id>.json": SEE,
    "GET /studies/<orthanc:study_id>.zip": DOWNLOAD,
    "GET /series/<orthanc:series_id>.zip": DOWNLOAD,
    "GET /instances/<orthanc:instance_id>.dcm": DOWNLOAD,
    "GET /studies/<orthanc:study_id>/thumbnail": Expect("see", (200, 302, 303)),
    "GET /series/<orthanc:series_id>/thumbnail": Expect("see", (200, 302, 303)),
    "GET /instances/<orthanc:instance_id>/thumbnail": Expect("see", (200, 302, 303)),
    "GET /instances/<orthanc:instance_id>/frames/<int:frame>.<any(png, jpeg):format>": SEE,
    # DICOMweb: the filter is that of downloads
    "GET /dicom-web/studies": DOWNLOAD,
    "GET /dicom-web/series": DOWNLOAD,
    "GET /dicom-web/instances": DOWNLOAD,
    **{
        f"GET /dicom-web/studies/<uid:study_uid>{rest}": DOWNLOAD
        for rest in ("", "/series", "/instances", "/metadata", "/rendered", "/thumbnail")
    },
    **{
        f"GET /dicom-web/studies/<uid:study_uid>/series/<uid:series_uid>{rest}": DOWNLOAD
        for rest in ("", "/instances", "/metadata", "/rendered", "/thumbnail")
    },
    **{f"GET {_INSTANCE}{rest}": DOWNLOAD for rest in ("", "/metadata", "/rendered", "/thumbnail", "/bulk/<path:tag>")},
    **{f"GET {_INSTANCE}/frames/<frames>{rest}": DOWNLOAD for rest in ("", "/rendered", "/thumbnail")},
    "POST /dicom-web/studies": Expect("store", (400,)),
    "POST /dicom-web/studies/<uid:study_uid>": Expect("store", (400,)),
    # the viewer: its page needs what DICOMweb needs; no viewer is installed here
    "GET /studies/<orthanc:study_id>/viewer": Expect("download", (302,)),
    "GET /series/<orthanc:series_id>/viewer": Expect("download", (302,)),
    # links
    "GET /links": LOGIN,
    "POST /links/<uuid:link_id>/revoke": Expect("login", (404,)),
    "GET /studies/<orthanc:study_id>/links": SEE,
    "GET /series/<orthanc:series_id>/links": SEE,
    "POST /studies/<orthanc:study_id>/links": Expect("see", (200,), {"label": "x", "hours": "1"}),
    "POST /series/<orthanc:series_id>/links": Expect("see", (200,), {"label": "x", "hours": "1"}),
    "POST /studies/<orthanc:study_id>/viewer-link": Expect("download", (200,), {"label": "x", "hours": "1"}),
    "GET /shares/<uuid:share_id>": Expect("see", (404,)),
    "GET /help/dicomweb": DOWNLOAD,
    "GET /viewer/": Expect("login", (302,)),
    "GET /viewer/viewer": Expect("download", (404,)),
    "GET /viewer/<path:path>": Expect("public", (404,)),
    # exports; whose they are is tested below
    "GET /exports": EXPORT,
    "GET /exports.json": EXPORT,
    "GET /exports/new": Expect("export", query="q=Modality Exists"),
    "POST /exports": Expect("export", (400,), {"query": "Modality Exists", "kind": "keys", "bucket": "nowhere"}),
    "GET /exports/<uuid:export_id>": Expect("export", (404,)),
    "GET /exports/<uuid:export_id>.json": Expect("export", (404,)),
    "GET /exports/<uuid:export_id>/failures.csv": Expect("export", (404,)),
    "POST /exports/<uuid:export_id>/<any(cancel, pause):wish>": Expect("export", (404,)),
    "POST /exports/<uuid:export_id>/<any(resume, rerun):how>": Expect("export", (404,)),
    "GET /exports/all": ADMIN,
    "GET /exports/all/<uuid:export_id>": Expect("admin", (404,)),
    # administrators
    "GET /status": ADMIN,
    "GET /audit": ADMIN,
    "GET /audit.csv": ADMIN,
    "GET /audit.jsonl": ADMIN,
    "GET /users": ADMIN,
    "POST /users/disable": Expect("admin", (404,), {"name": "a stranger"}),
    "POST /users/enable": Expect("admin", (404,), {"name": "a stranger"}),
    "POST /users/revoke": Expect("admin", (404,), {"name": "a stranger"}),
    # Orthanc: paths are tested in test_orthanc_proxy.py; here, a path that every profile with Orthanc lets pass
    "GET /orthanc": Expect("orthanc", (302,)),
    **{f"{method} /orthanc/": Expect("orthanc", ()) for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")},
    **{
        f"{method} /orthanc/<path:path>": Expect("orthanc", ())
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
    },
}


@dataclass
class Objects:
    """Orthanc's identifiers of one instance of each kind, and what of the forbidden ones must never be seen."""

    permitted: dict[str, str]
    forbidden: dict[str, str]
    mixed: dict[str, str]
    secrets: set[str]

    def values(self, kind: str) -> dict[str, Any]:
        """Return values for the arguments of routes."""
        ids = {
            "permitted": self.permitted,
            "forbidden": self.forbidden,
            "missing": {name: "1.2.3" if name.endswith("uid") else "-".join(["0" * 8] * 5) for name in self.permitted},
        }[kind]
        return {**ids, "frame": 1, "format": "png", "frames": "1", "tag": "7fe00010",
                "path": "system", "filename": "no-such-file", "search_id": 999999,
                "session_id": uuid.uuid4(), "token_id": uuid.uuid4(), "link_id": uuid.uuid4(), "share_id": uuid.uuid4(),
                "export_id": uuid.uuid4(), "wish": "cancel", "how": "resume"}  # fmt: skip


def routes(app):
    """Return the rule of every method and route but the ones that Flask adds to each."""
    return {
        f"{method} {rule.rule}": rule
        for rule in app.url_map.iter_rules()
        for method in rule.methods - ({"HEAD"} | ({"OPTIONS"} if rule.provide_automatic_options else set()))
    }


@pytest.fixture
def matrix(make_portal, research_orthanc):
    """Give a portal on a store with a CT and an MR study, and a series that holds both."""
    portal = make_portal(
        RPACS_ORTHANC_HOSTNAME=research_orthanc.url,
        RPACS_ORTHANC_USERNAME=research_orthanc.username,
        RPACS_ORTHANC_PASSWORD=research_orthanc.password,
    )
    mixed = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "StudyDescription": "mixed"}
    hidden = {"Modality": "MR", "SeriesDescription": MARKER, "ManufacturerModelName": MARKER}
    files = {
        "permitted": make_instance(PatientID="P1", StudyDescription="chest"),
        "forbidden": make_instance(PatientID=MARKER, StudyDescription=MARKER, **hidden),
        "mixed": make_instance(PatientID="P3", **mixed),
        "hidden": make_instance(PatientID="P3", InstanceNumber=2, **mixed, **hidden),
    }
    index = Index(portal.services.database)
    answers = {name: store(research_orthanc, data) for name, data in files.items()}
    index.add([build_document(None, data) for data in files.values()])
    ids = {
        name: {
            "instance_id": each["ID"],
            "series_id": each["ParentSeries"],
            "study_id": each["ParentStudy"],
            **dict(zip(("study_uid", "series_uid", "instance_uid"), _uids(files[name]), strict=True)),
        }
        for name, each in answers.items()
    }
    secrets = {MARKER, *ids["forbidden"].values(), ids["hidden"]["instance_id"]}
    secrets |= {uid for name in ("forbidden", "hidden") for uid in _uids(files[name])} - set(_uids(files["mixed"]))
    return portal, Objects(ids["permitted"], ids["forbidden"], ids["mixed"], secrets)


def _uids(data):
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    return [dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID]


def _address(app, rule, values):
    with app.test_request_context():
        adapter = app.url_map.bind("localhost")
        return adapter.build(rule.endpoint, {name: values[name] for name in rule.arguments}, force_external=False)


def test_every_route_has_an_expected_answer(portal):
    assert set(routes(portal.app)) - set(TABLE) == set(), "say in TABLE who may use the new route"
    assert set(TABLE) - set(routes(portal.app)) == set(), "TABLE has routes that are gone"


def test_views_declare_what_is_expected(portal):
    views = portal.app.view_functions
    wrong = {
        key: (declared.level, TABLE[key].level)
        for key, rule in routes(portal.app).items()
        if (declared := getattr(views[rule.endpoint], "requirement", None)) and declared.level != TABLE[key].level
    }
    assert wrong == {}


def test_a_route_without_a_declaration_is_not_served(portal):
    from website.guard import requirements

    portal.app.view_functions["new"] = lambda: "open"
    with pytest.raises(RuntimeError, match="the view new does not say what it requires"):
        requirements(portal.app)


def _expected(user, expect, kind, has_object):
    if user not in MAY[expect.level]:
        return (302, 401) if user is None else (403,)
    if has_object and (kind == "missing" or (kind == "forbidden" and user in FILTERED)):
        return (404,)
    return expect.ok


def _ask(portal, user, method, address, expect):
    client = portal.client(user)
    headers = {"X-CSRFToken": portal.csrf(client), "Sec-Fetch-Site": "same-origin"} if method != "GET" else {}
    return client.open(address, method=method, data=expect.data or None, headers=headers, query_string=expect.query)


@pytest.mark.parametrize("user", USERS, ids=str)
def test_the_matrix(matrix, user):
    portal, objects = matrix
    wrong = []
    for key, rule in sorted(routes(portal.app).items()):
        method, expect = key.split(" ")[0], TABLE[key]
        has_object = bool(_OBJECTS & rule.arguments) and expect.level != "store"
        for kind in ("permitted", "forbidden", "missing") if has_object else ("permitted",):
            address = _address(portal.app, rule, objects.values(kind))
            answer = _ask(portal, user, method, address, expect)
            wanted = _expected(user, expect, kind, has_object)
            if wanted and answer.status_code not in wanted:
                wrong.append(f"{key}, {kind}: {answer.status_code} instead of {wanted}")
    assert wrong == []


def test_forbidden_and_missing_answer_alike(matrix):
    """The whole answer, so that nothing tells that there is something."""
    portal, objects = matrix
    differing = []
    for key, rule in routes(portal.app).items():
        if not _OBJECTS & rule.arguments or not key.startswith("GET"):
            continue
        answers = []
        for kind in ("forbidden", "missing"):
            values = objects.values(kind)
            answer = portal.client("ct").get(_address(portal.app, rule, values))
            body = answer.text
            for name in _OBJECTS:
                body = body.replace(values[name], "ID")
            answers.append((answer.status_code, re.sub(r'value="[^"]*"', "", body)))
        if answers[0] != answers[1]:
            differing.append(key)
    assert differing == []


QUERIES = (
    "", "Modality Exists", "Modality StrEquals MR", "NOT (Modality StrEquals CT)", "Modality NotExists",
    "Modality StrEquals CT OR Modality StrEquals MR",
)  # fmt: skip


def _contents(answer):
    """Return an answer's bytes; of a ZIP, those of its files and their names."""
    if not answer.data.startswith(b"PK"):
        return answer.data
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        return b"".join(name.encode() + archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize("user", sorted(FILTERED))
def test_a_filter_holds_in_every_answer(matrix, user):
    """Search, counts, facets, suggestions, pages, JSON, CSV, ZIPs: nothing of what the filter hides is in any."""
    portal, objects = matrix
    client = portal.client(user)
    leaks, asked = [], 0
    for key, rule in sorted(routes(portal.app).items()):
        if not key.startswith("GET ") or TABLE[key].level not in ("see", "download", "login", "export"):
            continue
        for ids in (objects.permitted, objects.mixed):
            address = _address(portal.app, rule, {**objects.values("permitted"), **ids})
            for query in QUERIES:
                answer = client.get(address, query_string={"q": query, "tag": "Modality", "level": "instance"})
                asked += answer.status_code == 200
                body = _contents(answer)
                leaks += [f"{key} ({query}): {secret}" for secret in objects.secrets if secret.encode() in body]
    assert leaks == []
    assert asked > 50


def test_a_full_user_sees_what_the_filter_hides(matrix):
    """The test above can fail: the marks are in the answers of who may see them."""
    portal, objects = matrix
    client = portal.client("full")
    answers = [client.get(path, query_string={"q": "Modality Exists"}) for path in ("/search", "/search.zip")]
    answers.append(client.get(f"/series/{objects.mixed['series_id']}.zip"))
    seen = b"".join(_contents(answer) for answer in answers)
    assert MARKER.encode() in seen
    assert sum(secret.encode() in seen for secret in objects.secrets) > len(objects.secrets) // 2


def test_a_zip_of_a_mixed_series_holds_what_is_permitted(matrix):
    portal, objects = matrix
    for user, count in (("ct", 1), ("full", 2)):
        answer = portal.client(user).get(f"/series/{objects.mixed['series_id']}.zip")
        with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
            assert len([name for name in archive.namelist() if name.endswith(".dcm")]) == count


def test_nobody_sees_somebody_elses_things(matrix):
    """Saved searches, tokens, sessions are their owner's, for administrators' eyes too."""
    portal, _ = matrix
    owner, other = portal.client("full"), portal.client("admin")
    owner.post(
        "/searches",
        data={"name": "a name of mine", "query": "Modality Exists"},
        headers={"X-CSRFToken": portal.csrf(owner)},
    )
    portal.services.users.record_login(Identity("full", frozenset({"full"}), "local"))
    assert "a name of mine" in owner.get("/searches").text
    assert "a name of mine" not in other.get("/searches").text
