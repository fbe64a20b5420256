"""A job from asking to export.json: lists, layouts, manifest, permissions."""

from __future__ import annotations

import csv
import hashlib
import io
import json

import pytest

from common.errors import RefusedError
from tests.helpers.slices import make_slice
from website.exports.choices import Choices
from website.exports.keys import Identity, base_key, safe_name


def manifest_of(objects):
    return list(csv.DictReader(io.StringIO(objects["manifest.csv"].decode())))


def verify(objects):
    """Hold every object to the manifest, and the manifest to export.json."""
    rows = manifest_of(objects)
    beside = {"manifest.csv", "export.json", "failures.csv"}
    assert {row["key"] for row in rows} == set(objects) - beside
    for row in rows:
        data = objects[row["key"]]
        assert (len(data), hashlib.sha256(data).hexdigest()) == (int(row["size"]), row["sha256"]), row["key"]
    document = json.loads(objects["export.json"])
    assert document["manifest"]["sha256"] == hashlib.sha256(objects["manifest.csv"]).hexdigest()
    assert document["objects"] == len(rows)
    return document, rows


def test_an_export_holds_the_files_as_stored(desk):
    files = [make_slice(number, series=number % 2) for number in range(7)]
    desk.store(*files)
    identifier = desk.ask(query="Modality StrEquals CT", purpose="EK 1")
    done = desk.run(identifier)
    assert (done.state, done.instances, done.sent, done.failed, done.objects) == ("done", 7, 7, 0, 7)
    objects = desk.objects()
    document, rows = verify(objects)
    assert {objects[row["key"]] for row in rows} == set(files)
    assert done.bytes == sum(map(len, files))
    assert (document["user"], document["query"], document["description"]) == (
        "rita", "Modality StrEquals CT", "Modality is “CT”",
    )  # fmt: skip
    assert document["software"].startswith("Research PACS ")
    assert {row["PatientID"] for row in rows} == {"P1"}
    assert {row["key"] for row in rows} == {
        f"P1/{row['StudyInstanceUID']}/{row['SeriesInstanceUID']}/{key}-{row['SOPInstanceUID']}.dcm"
        for row in rows
        for key in [row["key"].rsplit("/", 1)[1].split("-")[0]]
    }


def test_the_flat_layout_is_that_of_version_1(desk):
    ids = desk.store(make_slice(1), make_slice(2))
    desk.run(desk.ask(layout="flat", elements="yes"))
    objects = desk.objects()
    verify(objects)
    assert set(objects) == {f"{each}.{end}" for each in ids for end in ("dcm", "json")} | {
        "manifest.csv",
        "export.json",
    }
    assert json.loads(objects[f"{ids[0]}.json"])["0010,0020 PatientID"] == "P1"


def test_a_configured_destination_has_a_folder_for_each_user(desk):
    desk.store(make_slice(1))
    identifier = desk.ask(kind="configured", name="trial", prefix="mine")
    assert desk.run(identifier).state == "done"
    verify(desk.objects("trial/rita/mine/"))
    with pytest.raises(RefusedError, match="choose one of the destinations"):
        desk.ask("carl", kind="configured", name="trial")


def test_only_what_its_user_may_export(desk):
    desk.store(make_slice(1), make_mr(2))
    done = desk.run(desk.ask("carl", query=""))
    assert done.counts["instances"] == done.sent == 1
    assert done.filter == "Modality StrEquals CT"
    with pytest.raises(RefusedError, match="nothing that you may export"):
        desk.ask("vera")


def make_mr(number):
    data = make_slice(number, series=9)
    return data.replace(b"CS\x02\x00CT", b"CS\x02\x00MR")


def test_permissions_are_evaluated_when_it_runs(desk):
    desk.store(make_slice(1), make_mr(2))
    identifier = desk.ask(query="")
    desk.permit(
        "Profiles:\n  Ct: {DICOMQueryFilter: Modality StrEquals CT}\nPermissions: [{Users: rita, Profiles: Ct}]\n"
    )
    done = desk.run(identifier)
    assert (done.instances, done.sent) == (1, 1)
    assert {row["Modality"] for row in manifest_of(desk.objects())} == {"CT"}


def test_who_may_not_export_any_more_gets_nothing(desk):
    desk.store(make_slice(1))
    identifier = desk.ask()
    desk.permit("Profiles:\n  Look: {Export: false}\nPermissions: [{Users: rita, Profiles: Look}]\n")
    done = desk.run(identifier)
    assert (done.state, done.reason) == ("failed", "Its user may not export any more.")
    assert desk.objects() == {}


def test_an_old_login_pauses_the_job_and_a_new_one_lets_it_go_on(desk, research_database):
    desk.store(make_slice(1))
    identifier = desk.ask()
    with research_database.owner.transaction() as cursor:
        cursor.execute("UPDATE research.users SET verified_at = now() - interval '2 days'")
    paused = desk.run(identifier)
    assert paused.state == "paused"
    assert "log in again" in paused.reason
    desk.login()
    desk.services.exports.resume(identifier)
    assert desk.run(identifier).state == "done"


def test_a_disabled_user_s_job_fails(desk):
    desk.store(make_slice(1))
    identifier = desk.ask()
    desk.services.users.disable("rita", by="admin")
    assert desk.run(identifier).reason == "The user is disabled."


def test_two_jobs_cannot_write_to_one_place(desk):
    desk.store(make_slice(1))
    desk.ask()
    with pytest.raises(RefusedError, match="writes to this place"):
        desk.ask()


def test_start_and_end_are_in_the_audit_trail(desk, research_database):
    desk.store(make_slice(1))
    identifier = desk.ask()
    desk.run(identifier)
    with research_database.owner.transaction() as cursor:
        cursor.execute("SELECT entry FROM research.audit ORDER BY seq")
        rows = [row[0] for row in cursor.fetchall()]
    assert [(row["action"], row["phase"], row["export"]) for row in rows] == [
        ("export", "start", identifier), ("export", "done", identifier),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "safe"),
    [("P1", "P1"), ("", "unknown"), ("1.2.3", "1.2.3"), ("..", "x-"), ("a/b", "a_b-"), ("CON", "x-CON-"),
     ("Müller", "M_ller-"), ("x" * 90, "x" * 64 + "-"), (" a ", "a")],
)  # fmt: skip
def test_names_are_safe(text, safe):
    assert safe_name(text) == safe or (safe.endswith("-") and safe_name(text).startswith(safe))


def test_names_that_had_to_be_changed_stay_distinct():
    assert len({safe_name(text) for text in ("a/b", "a_b", "a:b", "a b")}) == 4


def test_an_instance_without_values_has_a_key():
    assert base_key(Identity("id", "", "1.2", "1.3", "1.4", "CT", ""), Choices()) == "unknown/1.2/1.3/unknown-1.4"
