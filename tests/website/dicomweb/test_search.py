"""QIDO-RS: matching, paging, fields; whatever is asked, nothing outside the filter is answered."""

from __future__ import annotations

import json
import random

import jsonschema
import pytest
import requests
from pydicom import Dataset

from tests.helpers.research_store import make_instance
from tests.website.dicomweb.conftest import Archive

MARK = "ForbiddenMarker"
# PS3.18 F.2: an attribute is a VR and at most one of Value, BulkDataURI, InlineBinary; an empty value is no Value.
_ATTRIBUTE = {
    "type": "object",
    "properties": {
        "vr": {"type": "string", "pattern": "^[A-Z]{2}$"},
        "Value": {"type": "array", "minItems": 1},
        "BulkDataURI": {"type": "string"},
        "InlineBinary": {"type": "string"},
    },
    "required": ["vr"],
    "additionalProperties": False,
    "maxProperties": 2,
}
JSON_MODEL = {
    "type": "array",
    "items": {
        "type": "object",
        "patternProperties": {"^[0-9A-F]{8}$": _ATTRIBUTE},
        "additionalProperties": False,
    },
}
# Tables 10.6.3-3 to 10.6.3-5: what every result holds.
REQUIRED = {
    "studies": "00080020 00080030 00080050 00080056 00080061 00080090 00081190 00100010 00100020 00100030 00100040"
    " 0020000D 00200010 00201206 00201208",
    "series": "00080060 00081190 0020000E 00200011 00201209",
    "instances": "00080016 00080018 00081190 00200013 00280010 00280011 00280100",
}


@pytest.fixture
def archive(make_archive) -> Archive:
    files = {
        f"ct {study} {series} {number}": make_instance(
            1, study, series, number, StudyTime=f"{8 + study:02}15{number:02}", StudyID=f"S{study}",
            PatientName="Müller^Änne=Mueller", AccessionNumber=f"A{study}",
        )
        for study, series, number in ((1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1), (3, 1, 1))
    }  # fmt: skip
    hidden = {"Modality": "MR", "SeriesDescription": MARK, "StudyDescription": MARK, "PatientName": MARK}
    files["mr"] = make_instance(1, 4, 1, 1, **hidden)
    files["mr beside ct"] = make_instance(1, 1, 3, 1, **{**hidden, "StudyDescription": "Chest"})
    files["mr first"] = make_instance(2, 5, 1, 1, **hidden)
    files["ct after"] = make_instance(2, 5, 1, 2)
    return make_archive(files)


def ask(archive: Archive, path: str, user: str = "ct", **query: object) -> list[dict]:
    answer = archive.session(user).get(archive.root + path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def studies(archive: Archive, user: str = "ct", **query: object) -> list[str]:
    """Return the last parts of the UIDs of the studies found."""
    return sorted(row["0020000D"]["Value"][0].rsplit(".", 1)[1] for row in ask(archive, "/studies", user, **query))


def test_answers_are_the_json_model_with_what_is_required(archive) -> None:
    study, series, _ = archive.uids("ct 1 1 1")
    paths = {
        "/studies": "studies", "/series": "series", "/instances": "instances", f"/studies/{study}/series": "series",
        f"/studies/{study}/instances": "instances", f"/studies/{study}/series/{series}/instances": "instances",
    }  # fmt: skip
    for path, kind in paths.items():
        for fields in ({}, {"includefield": "all"}):
            rows = ask(archive, path, **fields)
            assert rows
            jsonschema.validate(rows, JSON_MODEL)
            for row in rows:
                assert set(REQUIRED[kind].split()) <= set(row), (path, set(REQUIRED[kind].split()) - set(row))
                assert list(row) == sorted(row)
                Dataset.from_json(json.dumps(row))
    for path in (f"/studies/{study}/metadata", f"/studies/{study}/series/{series}/metadata"):
        jsonschema.validate(ask(archive, path), JSON_MODEL)


def test_names_of_several_groups(archive) -> None:
    (row,) = ask(archive, "/studies", StudyID="S2")
    assert row["00100010"]["Value"] == [{"Alphabetic": "Müller^Änne", "Ideographic": "Mueller"}]


MATCHING = [
    ({"StudyID": "S1"}, "1"),
    ({"00200010": "S1"}, "1"),
    ({"StudyID": "*"}, "1 2 3 5"),
    ({"StudyID": ""}, "1 2 3 5"),
    ({"StudyID": '""'}, "5"),
    ({"StudyID": "S*"}, "1 2 3"),
    ({"StudyID": "S?"}, "1 2 3"),
    ({"StudyID": "?"}, ""),
    ({"PatientName": "müller*"}, "1 2 3"),
    ({"PatientName": "M?ller^*"}, "1 2 3"),
    ({"StudyDate": "20190315"}, "1"),
    ({"StudyDate": "20190315-20200315"}, "1 2"),
    ({"StudyDate": "20200315-"}, "2 3 5"),
    ({"StudyDate": "-20190315"}, "1"),
    ({"StudyTime": "1015-"}, "2 3"),
    ({"StudyTime": "0900-0959"}, "1"),
    ({"StudyTime": "10-10"}, "2"),
    ({"StudyTime": "09:15:00-10"}, "1 2"),
    ({"ModalitiesInStudy": "CT"}, "1 2 3 5"),
    ({"ModalitiesInStudy": "MR"}, ""),
    ({"AccessionNumber": "A3", "StudyID": "S3"}, "3"),
    ({"AccessionNumber": "A3", "StudyID": "S1"}, ""),
    ({"RequestAttributesSequence.ScheduledProcedureStepID": "STEP2"}, "1 5"),
    ({"InstanceNumber": "2"}, "1 5"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, ""),
]


def test_matching(archive) -> None:
    found = [(query, " ".join(studies(archive, **query))) for query, _ in MATCHING]
    assert found == MATCHING


def test_lists_of_uids(archive) -> None:
    uids = [archive.uids(f"ct {study} 1 1")[0] for study in (1, 3)]
    for given in (",".join(uids), "\\".join(uids), uids):
        assert studies(archive, StudyInstanceUID=given) == ["1", "3"]
    assert studies(archive, StudyInstanceUID=[*uids, archive.uids("mr")[0]]) == ["1", "3"]


def test_what_cannot_be_asked_is_said(archive) -> None:
    session = archive.session("ct")
    wrong = (
        "NoSuchKeyword=1", "StudyDate=2019", "StudyDate=20191332", "StudyDate=-", "StudyInstanceUID=a*", "limit=-1",
        "limit=x", "offset=1.5", "InstanceNumber=one", "PixelData=x", "includefield=Nothing", "StudyTime=9-",
        "limit=1&limit=2", "StudyID=" + "x" * 5000,
    )  # fmt: skip
    for query in wrong:
        answer = session.get(f"{archive.root}/studies?{query}")
        assert answer.status_code == 400, query
        assert answer.json()["message"]
    assert session.get(f"{archive.root}/studies", headers={"Accept": "text/xml"}).status_code == 406


def test_pages(archive) -> None:
    session = archive.session("ct")
    seen: list[str] = []
    for offset in range(0, 5, 2):
        answer = session.get(f"{archive.root}/studies", params={"limit": 2, "offset": offset})
        seen += [row["0020000D"]["Value"][0] for row in answer.json()]
        left = 4 - offset - 2
        assert (f"There are {left} additional results" in answer.headers.get("Warning", "")) is (left > 0)
    assert len(seen) == len(set(seen)) == 4
    assert session.get(f"{archive.root}/studies?limit=0").json() == []


def test_fuzzy_matching_is_said_not_to_be_done(archive) -> None:
    answer = archive.session("ct").get(f"{archive.root}/studies?fuzzymatching=true&PatientName=muller")
    assert answer.json() == []
    assert "Only literal matching" in answer.headers["Warning"]


def test_fields(archive) -> None:
    plain = ask(archive, "/studies", StudyID="S1")[0]
    assert "00081030" not in plain
    for fields in ("StudyDescription", "00081030", "Rows,StudyDescription", ["Rows", "00081030"]):
        row = ask(archive, "/studies", StudyID="S1", includefield=fields)[0]
        assert row["00081030"]["Value"] == ["Chest"]
        assert "00280010" not in row  # of instances
    (row, *_) = ask(archive, "/instances", includefield="RequestAttributesSequence,WindowCenter", StudyID="S2")
    assert row["00400275"]["Value"][0]["00400009"]["Value"] == ["STEP1"]
    assert row["00281050"]["Value"] == [500.0]


def test_counts_are_of_what_is_permitted(archive) -> None:
    for user, series, instances, modalities in (("ct", 2, 3, ["CT"]), ("full", 3, 4, ["CT", "MR"])):
        # One key matches a single instance; the study is all of what may be seen of it.
        (row,) = ask(archive, "/studies", user, StudyID="S1", InstanceNumber="2")
        assert (row["00201206"]["Value"], row["00201208"]["Value"]) == ([series], [instances])
        assert row["00080061"]["Value"] == modalities


def test_any_parameters_stay_within_the_filter(archive) -> None:
    """Random parameters as a restricted user: no mark of what is hidden is ever in an answer; as another, it is."""
    chance = random.Random(7)
    hidden = {uid for name in ("mr", "mr beside ct") for uid in archive.uids(name)[1:]} | {MARK}
    hidden |= {archive.uids("mr")[0], archive.uids("mr first")[2]}
    paths = ["/studies", "/series", "/instances"]
    paths += [archive.path("mr", "study") + "/series", archive.path("ct 1 1 1", "study") + "/series"]
    paths += [archive.path("mr first", "study") + "/instances", archive.path("mr first", "series") + "/instances"]
    names = [
        "Modality", "ModalitiesInStudy", "PatientName", "StudyDescription", "SeriesDescription", "StudyInstanceUID",
        "SOPInstanceUID", "StudyDate", "StudyTime", "InstanceNumber", "00080060", "includefield", "limit", "offset",
        "fuzzymatching", "Rows", "SOPClassUID", "RequestAttributesSequence.ScheduledProcedureStepID", "bogus",
        "_method",
    ]  # fmt: skip
    values = [
        "MR", "CT", "*", "", '""', "?R", MARK, f"*{MARK[3:]}", "all", "SeriesDescription,PatientName", "0", "1", "9",
        "-1", "20180101-", "-20301231", "0000-2359", "true", *archive.uids("mr"), "MR) OR (Modality Exists", "%", "'",
        "\\", "*) OR Modality Exists OR (Modality StrEquals *",
    ]  # fmt: skip
    session, full = archive.session("ct"), archive.session("full")
    answered, seen = 0, 0
    for _ in range(250):
        path = chance.choice(paths)
        query = [(chance.choice(names), chance.choice(values)) for _ in range(chance.randrange(4))]
        answer = session.get(archive.root + path, params=query)
        assert answer.status_code in (200, 400, 404), (path, query)
        assert [each for each in hidden if each in answer.text and not _echoed(each, query)] == [], (path, query)
        answered += answer.status_code == 200 and answer.json() != []
        if not seen:
            seen += any(each in full.get(archive.root + path, params=query).text for each in hidden)
    assert answered > 30
    assert seen


def _echoed(mark: str, query: list[tuple[str, str]]) -> bool:
    """Tell whether a text in an answer may be what was asked (a message that repeats it)."""
    return any(mark in value for _, value in query)


def test_without_a_login_nothing_is_searched(archive) -> None:
    assert requests.get(f"{archive.root}/studies", allow_redirects=False).status_code == 401
