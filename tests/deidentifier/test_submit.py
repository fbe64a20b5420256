"""``python -m deidentifier submit``, from the command to its destination."""

from __future__ import annotations

import io
import json
import os
import threading
from contextlib import contextmanager

import pydicom
import pytest

from common.orthanc import Orthanc
from common.settings import load
from common.tasks import Asked
from common.worker import Batch
from deidentifier.__main__ import main
from deidentifier.ingest import Ingest
from deidentifier.settings import DeidentifierSettings
from deidentifier.submissions import PIECE
from tests.helpers.slices import make_slice

RULES = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations: []\n"
NEVER = """
Labels: [{Name: Never, DICOMQueryFilter: Modality StrEquals X}]
ScopeToForward: {Labels: Never}
Transformations: []
"""


@pytest.fixture
def ingest(ingest_database, source_orthanc, research_orthanc, monkeypatch, s3):
    environ = {
        **ingest_database.environ("rpacs_deidentifier"),
        "RPACS_SUBMISSION_KEY": "k" * 40,
        "RPACS_S3_ENDPOINT": s3.server.url,
        "AWS_REGION": "us-east-1",
    }
    for prefix, server in (("SOURCE", source_orthanc), ("DESTINATION", research_orthanc)):
        environ[f"RPACS_{prefix}_ORTHANC_HOSTNAME"] = server.url
        environ[f"RPACS_{prefix}_ORTHANC_USERNAME"] = server.username
        environ[f"RPACS_{prefix}_ORTHANC_PASSWORD"] = server.password
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return Ingest.from_settings(load(DeidentifierSettings), "test")


def work(ingest):
    for handler in ingest.workers():
        for _ in range(3):
            tasks = ingest.queue.claim(handler.kind, "me", 10)
            results = handler.work(Batch(ingest.queue, "me", tasks, threading.Event().is_set))
            ingest.queue.exchange(results, handler.kind, "me", 0)


def arrived(ingest):
    orthanc: Orthanc = ingest.destination
    return [pydicom.dcmread(io.BytesIO(orthanc.download(i))) for i in orthanc.instances(0, 10)]


def left_over(ingest):
    with ingest.database.transaction() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM ingest.submissions), (SELECT count(*) FROM ingest.submission_pieces)"
        )
        return cursor.fetchone()


def test_a_folder_of_files_in_encrypted_pieces(ingest, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"Doe^Jane {number}.dcm").write_bytes(make_slice(number))
    assert main(["submit", "--source", str(tmp_path / "in"), "--log", str(tmp_path / "log")]) == 0
    with ingest.database.transaction() as cursor:
        cursor.execute("SELECT string_agg(data, '') FROM ingest.submission_pieces")
        stored = bytes(cursor.fetchone()[0])
        cursor.execute("SELECT string_agg(request, '') FROM ingest.submissions")
        stored += bytes(cursor.fetchone()[0])
    assert b"Doe" not in stored
    work(ingest)
    assert len(arrived(ingest)) == 3
    assert left_over(ingest) == (0, 0)
    assert "Doe" not in json.dumps(ingest.queue.list_tasks(), default=str)
    records = [json.loads(file.read_text()) for file in (tmp_path / "log").iterdir()]
    assert [record["state"] for record in records] == ["done"] * 3


def test_a_large_file_is_cut_into_pieces_and_whole_again(ingest, tmp_path):
    file = tmp_path / "large.dcm"
    file.write_bytes(make_slice(rows=2200))
    assert file.stat().st_size > PIECE
    assert main(["submit", "--source", str(file)]) == 0
    assert left_over(ingest) == (1, 2)
    work(ingest)
    assert [dataset.Rows for dataset in arrived(ingest)] == [2200]


def test_from_s3_by_other_rules_to_s3(ingest, tmp_path, s3):
    for number in range(2):
        s3.client.put_object(Bucket=s3.name, Key=f"in/{number}.dcm", Body=make_slice(number))
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    source, destination = f"s3://{s3.name}/in/", f"s3://{s3.name}/out/"
    assert main(["submit", "--source", source, "--rules", str(rules), "--destination", destination]) == 0
    work(ingest)
    keys = [entry["Key"] for entry in s3.client.list_objects_v2(Bucket=s3.name, Prefix="out/")["Contents"]]
    datasets = [
        pydicom.dcmread(io.BytesIO(s3.client.get_object(Bucket=s3.name, Key=key)["Body"].read())) for key in keys
    ]
    assert [dataset.PatientID for dataset in datasets] == ["P1", "P1"]  # the other rules change nothing
    assert arrived(ingest) == []


def test_an_instance_of_the_source_orthanc_by_other_rules(ingest, tmp_path):
    instance = ingest.source.upload(make_slice()).id
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    assert main(["submit", "--source", f"orthanc://{instance}", "--rules", str(rules)]) == 0
    assert len(ingest.queue.list_tasks()) == 1
    work(ingest)
    assert [dataset.PatientID for dataset in arrived(ingest)] == ["P1"]
    assert ingest.source.instances(0, 10) == []


@pytest.fixture
def delivered(ingest):
    """Give an instance whose result by the rules in force is in the research Orthanc, and which came again."""
    data = make_slice()
    with ingest.database.transaction() as cursor:
        ingest.queue.enqueue(cursor, "deidentify", [Asked(ingest.source.upload(data).id, 1, 1)])
    work(ingest)
    return ingest.source.upload(data).id


def test_the_result_by_other_rules_replaces_the_earlier_one(ingest, delivered, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    assert main(["submit", "--source", f"orthanc://{delivered}", "--rules", str(rules)]) == 0
    work(ingest)
    assert [dataset.PatientID for dataset in arrived(ingest)] == ["P1"]


@pytest.mark.parametrize("discarding", [False, True])
def test_what_goes_elsewhere_leaves_the_result_in_the_research_orthanc_alone(ingest, delivered, tmp_path, discarding):
    [before] = ingest.queue.list_tasks()
    rules = tmp_path / "rules.yaml"
    rules.write_text(NEVER if discarding else RULES)
    source = ["--source", f"orthanc://{delivered}"]
    assert main(["submit", *source, "--rules", str(rules), "--destination", str(tmp_path)]) == 0
    work(ingest)
    [row] = ingest.queue.list_tasks()
    assert row["state"] == ("discarded" if discarding else "done")
    assert ingest.destination.instances(0, 10) == [row["result"]] == [before["result"]]
    assert len([*tmp_path.glob("*.dcm")]) == (0 if discarding else 1)


@pytest.mark.parametrize(("options", "attempts", "state"), [([], 1, "queued"), (["--no-retry"], 1, "failed")])
def test_what_is_no_dicom(ingest, tmp_path, options, attempts, state):
    (tmp_path / "x.dcm").write_bytes(b"no DICOM")
    log = tmp_path / "log"
    assert main(["submit", "--source", str(tmp_path / "x.dcm"), "--log", str(log), *options]) == 0
    work(ingest)
    (row,) = ingest.queue.list_tasks()
    assert (row["state"], row["attempts"], row["error_code"]) == (state, attempts, "InvalidDicom")
    (record,) = [json.loads(file.read_text()) for file in log.iterdir()]
    assert record["error"]["class"] == "InvalidDicom"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--source", "orthanc://x"],
        ["--source", "/dev/null", "--destination", "s3://"],
        ["--source", "/dev/null", "--destination", "/nowhere/at/all"],
    ],
)
def test_mistakes_are_told_when_submitting(ingest, arguments, capsys):
    assert main(["submit", *arguments]) == 2
    assert ingest.queue.list_tasks() == []


@pytest.fixture
def messy(tmp_path):
    """Give a folder of what lies about in folders: DICOM and other files, links, what is too large, a pipe."""
    folder = tmp_path / "messy"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "1").write_bytes(make_slice(1))
    (folder / "2.dcm").symlink_to(folder / "deep" / "er" / "1")
    (folder / "README").write_text("no DICOM")
    (folder / "empty").touch()
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "deep" / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    with (folder / "huge.dcm").open("wb") as file:
        file.truncate((1 << 30) + 1)
    return folder


def test_a_folder_with_all_sorts_of_things(ingest, messy, tmp_path, capsys):
    assert main(["submit", "--source", str(tmp_path / "missing"), "--source", str(messy)]) == 1
    out, err = capsys.readouterr()
    assert sorted(json.loads(line)["source"].removeprefix(f"{messy}/") for line in out.splitlines()) == [
        "2.dcm",
        "README",
        "deep/er/1",
        "empty",
    ]
    assert [line.split(": ")[0] for line in err.splitlines()] == [str(tmp_path / "missing"), str(messy / "huge.dcm")]
    assert "Traceback" not in err
    work(ingest)
    assert sorted(row["state"] for row in ingest.queue.list_tasks()) == ["done", "done", "queued", "queued"]
    assert len(arrived(ingest)) == 1  # the link is the same instance


@contextmanager
def as_nobody():
    """Be somebody from whom files can be kept, which the superuser is not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(("closed", "handed_in"), [("closed/x.dcm", 2), ("closed", 0)])
def test_what_may_not_be_read_is_named_and_the_rest_is_handed_in(ingest, tmp_path, capsys, closed, handed_in):
    folder = tmp_path / "in"
    (folder / "closed").mkdir(parents=True)
    for name in ("1.dcm", "closed/x.dcm", "z.dcm"):
        (folder / name).write_bytes(make_slice())
    assert main(["submit", "--source", str(folder / "1.dcm")]) == 0  # everything is imported by now
    capsys.readouterr()
    for each in (tmp_path, *tmp_path.parents):
        if each.name.startswith(("pytest", "popen", "test")):  # pytest keeps its folders for one user
            each.chmod(0o755)
    (folder / closed).chmod(0)
    with as_nobody():
        assert main(["submit", "--source", str(folder)]) == 1
    (folder / closed).chmod(0o755)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == handed_in
    assert err == f"{folder / closed}: refused by the file system: Permission denied\n"


def test_without_a_key_nothing_is_submitted(ingest, monkeypatch, capsys):
    monkeypatch.delenv("RPACS_SUBMISSION_KEY")
    assert main(["submit", "--source", "/dev/null"]) == 2
    assert "RPACS_SUBMISSION_KEY" in capsys.readouterr().err


@pytest.fixture
def claimed(ingest, tmp_path):
    """Give the handler of submissions and the one task of a submitted file, which a worker has just taken."""
    (tmp_path / "one.dcm").write_bytes(make_slice(1, rows=16))
    assert main(["submit", "--source", str(tmp_path / "one.dcm")]) == 0
    handler = ingest.workers()[1]
    return handler, ingest.queue.claim("submit", "first", 10)


def test_a_worker_that_dies_after_erasing_leaves_a_finished_task(ingest, claimed):
    handler, tasks = claimed
    handler.work(Batch(ingest.queue, "first", tasks, threading.Event().is_set))  # and dies before it says so
    assert left_over(ingest) == (0, 0)
    ingest.queue.release("first", tasks)
    work(ingest)
    [task] = ingest.queue.list_tasks(kinds=["submit"])
    assert (task["state"], task["attempts"], task["error_code"]) == ("done", 0, None)
    assert [task["result"]] == ingest.destination.instances(0, 10)


def test_a_worker_that_lost_its_task_erases_nothing(ingest, claimed):
    handler, tasks = claimed
    ingest.queue.release("first", tasks)
    handler.work(Batch(ingest.queue, "first", tasks, threading.Event().is_set))
    assert left_over(ingest) == (1, 1)
    work(ingest)
    assert left_over(ingest) == (0, 0)
    assert [task["state"] for task in ingest.queue.list_tasks(kinds=["submit"])] == ["done"]


def test_old_submissions_shrink_into_counts(ingest, claimed, ingest_database):
    handler, tasks = claimed
    ingest.queue.exchange(
        handler.work(Batch(ingest.queue, "first", tasks, threading.Event().is_set)), "submit", "first", 0
    )
    with ingest_database.owner.transaction() as cursor:
        cursor.execute("UPDATE ingest.tasks SET finished_at = now() - interval '10 years'")
    ingest.put_in_order()
    assert ingest.queue.list_tasks() == []
    with ingest_database.owner.transaction() as cursor:
        cursor.execute("SELECT kind, state, tasks FROM ingest.task_days")
        assert cursor.fetchall() == [("submit", "done", 1)]
