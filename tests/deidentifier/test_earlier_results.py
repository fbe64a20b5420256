"""What was delivered before goes where a resend is discarded, quarantined or fails: with two real Orthancs."""

from __future__ import annotations

import io
import logging

import pydicom
import pytest

from common.errors import InvalidDicomError, QuarantineError
from common.orthanc import Orthanc
from deidentifier.builder import DeidentifierBuilder
from deidentifier.mappings import PostgresMappings
from deidentifier.rules_in_force import apply
from deidentifier.settings import OfflineSettings
from deidentifier.worker import KIND
from tests.helpers.faulty_proxy import faulty_proxy
from tests.helpers.pipeline import Pipeline, client
from tests.helpers.slices import make_slice

WITHDRAWN = "an earlier result was withdrawn"


def hold(error):
    def before(dataset):
        raise error

    return before


def mend(pipeline, end):
    """Change the rules so that an instance comes to some end."""
    pipeline.rules.version = "2"
    if end == "discarded":
        pipeline.rules.discard = True
    else:
        pipeline.rules.before = hold(QuarantineError("a leak") if end == "quarantined" else InvalidDicomError("no"))


def settle(pipeline, subject):
    for _ in range(3):
        pipeline.run()
    return pipeline.row(subject)


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize(("end", "kept"), [("discarded", 0), ("quarantined", 1), ("failed", 1)])
def test_the_earlier_result_goes_when_a_resend_is_not_sent_on(pipeline, caplog, end, kept, pruned):
    other = pipeline.send(make_slice(2))
    pipeline.send(make_slice())
    pipeline.run()
    if pruned:
        assert pipeline.queue.prune(KIND, -1) == 2
    mend(pipeline, end)
    with caplog.at_level(logging.INFO):
        subject = pipeline.send(make_slice())
        row = settle(pipeline, subject)
    assert (row["state"], row["result"], bool(row["result_withdrawn_at"])) == (end, None, True)
    assert [result.InstanceNumber for result in pipeline.results()] == [2]
    assert pipeline.source.instances(0, 10) == [subject] * kept
    assert [each.task for each in caplog.records if each.message == WITHDRAWN] == [row["id"]]
    if not pruned:
        assert pipeline.row(other)["result_withdrawn_at"] is None


def test_what_is_delivered_again_is_there_again(pipeline):
    pipeline.send(make_slice())
    pipeline.run()
    mend(pipeline, "quarantined")
    subject = pipeline.send(make_slice())
    pipeline.run()
    pipeline.rules.before = lambda dataset: None
    pipeline.queue.retry([pipeline.row(subject)["id"]])
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], row["result_withdrawn_at"]) == ("done", None)
    assert pipeline.destination.instances(0, 10) == [row["result"]]


@pytest.mark.parametrize("end", ["discarded", "quarantined", "failed"])
def test_where_nothing_was_delivered_nothing_is_deleted_or_asked(queue, source_orthanc, research_orthanc, end):
    with faulty_proxy(research_orthanc.url) as proxy:
        behind = Orthanc(proxy.url, research_orthanc.username, research_orthanc.password)
        pipeline, asked = Pipeline(queue, client(source_orthanc), behind), []
        proxy.fault = lambda method, path: asked.append((method, path))
        mend(pipeline, end)
        subject = pipeline.send(make_slice())
        row = settle(pipeline, subject)
    assert (row["state"], row["result_withdrawn_at"], asked) == (end, None, [])


@pytest.mark.parametrize("end", ["discarded", "quarantined"])
def test_a_worker_that_dies_after_the_withdrawal_is_repeated_without_harm(pipeline, end):
    pipeline.send(make_slice())
    pipeline.run()
    mend(pipeline, end)
    subject = pipeline.send(make_slice())
    pipeline.die()
    row = pipeline.row(subject)
    assert (row["state"], pipeline.destination.instances(0, 10)) == ("queued", [])
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], row["error_code"], bool(row["result_withdrawn_at"])) == (
        end,
        "Quarantine" if end == "quarantined" else None,
        True,
    )


def test_a_worker_that_dies_between_the_deletion_and_its_record_is_repeated_without_harm(pipeline):
    pipeline.send(make_slice())
    pipeline.run()
    pipeline.destination.delete_instance(pipeline.queue.list_tasks()[0]["result"])
    mend(pipeline, "quarantined")
    subject = pipeline.send(make_slice())
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], row["result"], bool(row["result_withdrawn_at"])) == ("quarantined", None, True)


@pytest.mark.parametrize("end", ["discarded", "quarantined"])
@pytest.mark.parametrize("step", ["GET", "DELETE"])
def test_while_the_research_orthanc_is_away_nothing_is_final(queue, source_orthanc, research_orthanc, end, step):
    with faulty_proxy(research_orthanc.url) as proxy:
        behind = Orthanc(proxy.url, research_orthanc.username, research_orthanc.password)
        pipeline = Pipeline(queue, client(source_orthanc), behind)
        pipeline.send(make_slice())
        pipeline.run()
        mend(pipeline, end)
        subject = pipeline.send(make_slice())
        proxy.fault = lambda method, path: (503, b"") if method == step else None
        for _ in range(3):
            pipeline.run()
        row = pipeline.row(subject)
        assert (row["state"], row["error_code"], row["attempts"], row["delays"]) == (
            "queued",
            "OrthancUnavailable",
            0,
            3,
        )
        assert pipeline.source.instances(0, 10) == [subject]
        proxy.fault = lambda method, path: None
        pipeline.run()
        assert pipeline.row(subject)["state"] == end
        assert pipeline.destination.instances(0, 10) == []


def stored_by_another(pipeline, instance):
    """Store other bytes under the identity of an instance of the research Orthanc."""
    dataset = pydicom.dcmread(io.BytesIO(pipeline.destination.download(instance)))
    dataset.SeriesDescription = "by another"
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    assert pipeline.destination.upload(buffer.getvalue()).id == instance


@pytest.mark.parametrize(("by_another", "left"), [(False, 0), (True, 1)])
def test_under_a_kept_uid_only_the_very_bytes_that_were_delivered_are_deleted(pipeline, by_another, left):
    pipeline.rules.maps_uids = False
    pipeline.send(make_slice())
    pipeline.run()
    if by_another:
        stored_by_another(pipeline, pipeline.queue.list_tasks()[0]["result"])
    mend(pipeline, "quarantined")
    subject = pipeline.send(make_slice())
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], bool(row["result_withdrawn_at"])) == ("quarantined", not left)
    assert len(pipeline.destination.instances(0, 10)) == left
    assert ("earlier_result" in (row["detail"] or {})) is bool(left)


def test_a_uid_that_the_rules_made_is_ours_whatever_stands_there_now(pipeline):
    pipeline.send(make_slice())
    pipeline.run()
    stored_by_another(pipeline, pipeline.queue.list_tasks()[0]["result"])
    mend(pipeline, "quarantined")
    pipeline.send(make_slice())
    pipeline.run()
    assert pipeline.destination.instances(0, 10) == []


def test_what_another_task_delivered_under_the_same_identity_stays(pipeline):
    """Two patients with one SOP Instance UID, and rules that tell them apart no more."""

    def same_study(dataset):
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"

    pipeline.rules.before = same_study
    first = make_slice(patient="P1", sop_instance_uid="1.2.3.4", comment="first")
    pipeline.send(first)
    pipeline.run()
    pipeline.send(make_slice(patient="P2", sop_instance_uid="1.2.3.4", comment="second"))
    pipeline.run()
    mend(pipeline, "quarantined")
    pipeline.send(first)
    pipeline.run()
    assert [result.ImageComments for result in pipeline.results()] == ["second"]


def test_a_worker_that_lost_its_task_takes_nothing_back(pipeline):
    pipeline.send(make_slice(comment="old"))
    pipeline.run()
    subject = pipeline.send(make_slice(comment="old"))

    def stall(dataset):
        """Lose the lease: another worker takes the task, whose original is a better one by now."""
        pipeline.rules.before = lambda dataset: None
        with pipeline.queue.database.transaction() as cursor:
            cursor.execute("UPDATE ingest.tasks SET state = 'queued', worker = NULL")
        pipeline.send(make_slice(comment="better"))
        pipeline.run()
        raise QuarantineError("a leak in what was")

    pipeline.rules.before = stall
    stalled = pipeline.queue.claim(KIND, "stalled", 1)
    pipeline.work("stalled", stalled)
    assert pipeline.row(subject)["state"] == "done"
    assert [result.ImageComments for result in pipeline.results()] == ["better"]


@pytest.mark.parametrize("preserve", [False, True])
def test_what_a_person_gives_up_has_no_result_either(queue, source_orthanc, research_orthanc, preserve):
    pipeline = Pipeline(queue, client(source_orthanc), client(research_orthanc), preserve=preserve)
    pipeline.send(make_slice())
    pipeline.run()
    subject = pipeline.send(make_slice())
    assert queue.discard([pipeline.row(subject)["id"]]) == 1
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], row["error_code"], row["result"]) == ("discarded", "DiscardedByHand", None)
    assert pipeline.destination.instances(0, 10) == []


def test_an_original_that_others_deleted_says_nothing_about_its_earlier_result(pipeline):
    subject = pipeline.send(make_slice())
    pipeline.run()
    with pipeline.queue.database.transaction() as cursor:
        cursor.execute("UPDATE ingest.tasks SET outcome = NULL")
    pipeline.ask(subject)
    pipeline.run()
    assert pipeline.row(subject)["error_code"] == "OriginalGone"
    assert len(pipeline.destination.instances(0, 10)) == 1


FRAME = """
Labels:
- {{Name: Commented, DICOMQueryFilter: ImageComments Exists}}
ScopeToForward: {{Labels: ALL{scope}}}
{head}
Transformations:
- Scope: {{Labels: ALL}}
  RandomizeUID: [{{TagPatterns: [SOPInstanceUID, SeriesInstanceUID, StudyInstanceUID]}}]
  RandomizeText: [{{TagPatterns: PatientID, ReuseMapping: Always}}]
  DeleteTags: [{{TagPatterns: [PatientName, PatientBirthDate, AccessionNumber, StudyID], Action: Remove}}]
"""


@pytest.fixture
def rules(ingest_database):
    """Give a function that makes real rules, with mappings in the database, of a text."""
    builder = DeidentifierBuilder(OfflineSettings(), PostgresMappings(ingest_database.login("rpacs_deidentifier")))

    def load(text):
        engine = builder.load(text, "rules")
        return lambda data: apply(engine, data)

    return load


@pytest.mark.parametrize(
    ("scope", "head", "end"),
    [("", "OnLeak: Quarantine", "quarantined"), (", ExceptLabels: Commented", "", "discarded")],
)
def test_by_the_leak_check_and_by_labels_of_real_rules(pipeline, rules, scope, head, end):
    data = make_slice(comment="seen with Doe P1")
    pipeline.rules.apply = rules(FRAME.format(scope="", head=""))
    pipeline.send(data)
    pipeline.run()
    assert [result.ImageComments for result in pipeline.results()] == ["seen with Doe P1"]
    pipeline.rules.apply = rules(FRAME.format(scope=scope, head=head))
    subject = pipeline.send(data)
    pipeline.run()
    assert (pipeline.row(subject)["state"], pipeline.destination.instances(0, 10)) == (end, [])


@pytest.fixture
def stray(queue, source_orthanc, research_orthanc, rules):
    """Give a pipeline whose worker lost touch right after an upload, and the instance: its row tells of no result."""
    with faulty_proxy(research_orthanc.url) as proxy:
        behind = Orthanc(proxy.url, research_orthanc.username, research_orthanc.password)
        pipeline = Pipeline(queue, client(source_orthanc), behind)
        pipeline.rules.apply = rules(FRAME.format(scope="", head=""))
        subject = pipeline.send(make_slice(comment="seen with Doe P1"))
        proxy.fault = lambda method, path: (503, b"") if path.endswith("/md5") else None
        pipeline.run()
        proxy.fault = lambda method, path: None
        assert pipeline.row(subject)["result"] is None
        assert len(pipeline.results()) == 1
        yield pipeline, subject


@pytest.mark.parametrize(
    ("scope", "head", "end"),
    [("", "OnLeak: Quarantine", "quarantined"), (", ExceptLabels: Commented", "", "discarded")],
)
def test_what_a_worker_never_wrote_down_is_withdrawn_too(stray, rules, scope, head, end):
    pipeline, subject = stray
    pipeline.rules.apply = rules(FRAME.format(scope=scope, head=head))
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], bool(row["result_withdrawn_at"])) == (end, True)
    assert pipeline.destination.instances(0, 10) == []


def test_what_a_worker_never_wrote_down_is_replaced_under_another_identity_too(stray, rules):
    pipeline, subject = stray
    pipeline.rules.apply = rules(FRAME.format(scope="", head="").replace("PatientName,", "PatientID, PatientName,"))
    pipeline.run()
    assert pipeline.destination.instances(0, 10) == [pipeline.row(subject)["result"]]
    assert [result.get("PatientID") for result in pipeline.results()] == [None]


@pytest.mark.parametrize("waits", [True, False])
def test_what_may_be_the_result_of_another_original_with_the_same_uid_stays(stray, rules, waits):
    pipeline, subject = stray
    uid = pydicom.dcmread(io.BytesIO(pipeline.source.download(subject))).SOPInstanceUID
    other = make_slice(patient="P2", sop_instance_uid=uid)
    if waits:
        pipeline.source.upload(other)
    else:
        pipeline.send(other)
        pipeline.work("me", [task for task in pipeline.claim() if task.subject != subject])
        assert pipeline.source.instances(0, 10) == [subject]
        with pipeline.queue.database.transaction() as cursor:
            cursor.execute("UPDATE ingest.tasks SET state = 'queued', worker = NULL WHERE state = 'running'")
    pipeline.rules.apply = rules(FRAME.format(scope="", head="OnLeak: Quarantine"))
    pipeline.run(1)
    assert pipeline.row(subject)["state"] == "quarantined"
    patients = {result.PatientID for result in pipeline.results()}
    assert len(patients) == 1
    assert bool(pipeline.row(subject)["result_withdrawn_at"]) is not waits
