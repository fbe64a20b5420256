"""From the source Orthanc to the research Orthanc, with two real Orthancs, and everything that goes wrong."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from common.errors import InvalidDicomError, NotFoundError, OrthancUnavailableError, QuarantineError
from common.orthanc import Orthanc
from common.worker import Batch, Pool
from deidentifier.reconcile import SourceReconciler
from deidentifier.worker import KIND, deliver
from demo.servers.process import wait_until
from tests.helpers.faulty_proxy import STORAGE_FULL, faulty_proxy
from tests.helpers.pipeline import Pipeline, client
from tests.helpers.slices import make_slice


def test_an_instance_arrives_and_its_original_goes(pipeline):
    subject = pipeline.send(make_slice())
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], row["rules_sha256"], row["detail"]) == ("done", "1", {"labels": ["ALL"]})
    assert pipeline.destination.instances(0, 10) == [row["result"]]
    assert pipeline.source.instances(0, 10) == []


def test_originals_are_preserved_where_asked(queue, source_orthanc, research_orthanc):
    pipeline = Pipeline(queue, client(source_orthanc), client(research_orthanc), preserve=True)
    subject = pipeline.send(make_slice())
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"
    assert pipeline.source.instances(0, 10) == [subject]


def test_what_the_rules_discard_is_deleted_and_not_sent_on(pipeline):
    pipeline.rules.discard = True
    subject = pipeline.send(make_slice())
    pipeline.run()
    assert pipeline.row(subject)["state"] == "discarded"
    assert pipeline.destination.instances(0, 10) == pipeline.source.instances(0, 10) == []


@pytest.mark.parametrize(
    ("error", "runs", "state", "code"),
    [
        (QuarantineError("a leak"), 1, "quarantined", "Quarantine"),
        (InvalidDicomError("damaged"), 3, "failed", "InvalidDicom"),
        (ValueError("Doe^P1"), 3, "failed", "Unexpected"),
        (MemoryError(), 3, "failed", "Unexpected"),
    ],
)
def test_a_poisonous_instance_harms_no_other_and_its_original_is_kept(pipeline, caplog, error, runs, state, code):
    def poison(dataset):
        if dataset.InstanceNumber == 2:
            raise error

    pipeline.rules.before = poison
    ids = [pipeline.send(make_slice(number)) for number in (1, 2, 3)]
    for _ in range(runs):
        pipeline.run()
    assert [pipeline.row(subject)["state"] for subject in ids] == ["done", state, "done"]
    assert pipeline.row(ids[1])["error_code"] == code
    assert pipeline.source.instances(0, 10) == [ids[1]]
    assert "Doe" not in str(pipeline.row(ids[1]))


def test_deleted_while_it_waits(pipeline):
    subject = pipeline.send(make_slice())
    pipeline.source.delete_instance(subject)
    pipeline.run()
    assert (pipeline.row(subject)["state"], pipeline.row(subject)["error_code"]) == ("discarded", "OriginalGone")


def test_deleted_while_it_is_in_work(pipeline):
    subject = pipeline.send(make_slice())
    pipeline.rules.before = lambda dataset: pipeline.source.delete_instance(subject)
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"


def test_a_worker_that_died_after_deleting_the_original_leaves_a_done_task(pipeline):
    subject = pipeline.send(make_slice())
    (task,) = pipeline.queue.claim(KIND, "dying", 1)
    pipeline.worker.work(Batch(pipeline.queue, "dying", [task], lambda: False))  # and never finishes
    with pipeline.queue.database.transaction() as cursor:
        cursor.execute("UPDATE ingest.tasks SET state = 'queued', worker = NULL")
    pipeline.run()
    assert (pipeline.row(subject)["state"], pipeline.row(subject)["error_code"]) == ("done", None)
    assert pipeline.row(subject)["result"]


def test_a_worker_that_died_after_the_upload_is_repeated_without_harm(pipeline):
    subject = pipeline.send(make_slice())
    deliver(pipeline.destination, pipeline.rules.apply(pipeline.source.download(subject)).data)
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"
    assert len(pipeline.results()) == 1


def test_replaced_while_it_is_in_work_the_new_one_is_not_deleted_but_worked_on(pipeline):
    first, second = make_slice(comment="first"), make_slice(comment="second")
    subject = pipeline.send(first)
    pipeline.rules.before = lambda dataset: dataset.ImageComments == "first" and pipeline.send(second)
    pipeline.run()
    assert pipeline.row(subject)["state"] == "queued"
    assert pipeline.source.instances(0, 10) == [subject]
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"
    assert [result.ImageComments for result in pipeline.results()] == ["second"]
    assert pipeline.source.instances(0, 10) == []


def test_the_same_again_while_it_is_in_work(pipeline):
    data = make_slice()
    subject = pipeline.send(data)
    pipeline.rules.before = lambda dataset: pipeline.send(data)
    pipeline.run()
    pipeline.rules.before = lambda dataset: None
    pipeline.run()
    assert (pipeline.row(subject)["state"], pipeline.row(subject)["error_code"]) == ("done", None)
    assert len(pipeline.results()) == 1
    assert pipeline.source.instances(0, 10) == []


@pytest.mark.parametrize("comment", ["same", "other"])
def test_again_after_it_is_done(pipeline, comment):
    pipeline.send(make_slice(comment="same"))
    pipeline.run()
    subject = pipeline.send(make_slice(comment=comment))
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"
    assert [result.ImageComments for result in pipeline.results()] == [comment]


def test_the_same_sop_instance_uid_of_two_patients_are_two_instances(pipeline):
    uid = "1.2.3.4"
    pipeline.rules.patient = "A"
    pipeline.send(make_slice(patient="P1", sop_instance_uid=uid))
    pipeline.run()
    pipeline.rules.patient = "B"
    pipeline.send(make_slice(patient="P2", sop_instance_uid=uid))
    pipeline.run()
    assert sorted(result.PatientID for result in pipeline.results()) == ["A", "B"]


@pytest.mark.parametrize(("leak", "mended"), [("P1", "ANON"), ("ANON", "ANON")])
def test_a_resend_under_mended_rules_replaces_the_leaking_copy(pipeline, leak, mended):
    pipeline.rules.patient = leak
    pipeline.send(make_slice(comment="Jane Doe"))
    pipeline.run()

    def mend(dataset):
        del dataset.ImageComments

    pipeline.rules.version, pipeline.rules.patient, pipeline.rules.before = "2", mended, mend
    subject = pipeline.send(make_slice(comment="Jane Doe"))
    pipeline.run()
    assert pipeline.row(subject)["rules_sha256"] == "2"
    (result,) = pipeline.results()
    assert result.PatientID == mended
    assert "ImageComments" not in result


def test_an_orthanc_that_keeps_the_earlier_copy_is_made_to_replace_it(make_orthanc):
    keeping = client(make_orthanc("research", options={"OverwriteInstances": False}))
    old, new = make_slice(comment="old"), make_slice(comment="new")
    keeping.upload(old)
    assert keeping.upload(new).status == "AlreadyStored"
    answer = deliver(keeping, new)
    assert keeping.instance_md5(answer.id) == hashlib.md5(new).hexdigest()


def test_a_delivery_whose_bytes_differ_is_no_delivery(research_orthanc):
    with faulty_proxy(research_orthanc.url) as proxy:
        proxy.fault = lambda method, path: (200, b"0" * 32) if path.endswith("/md5") else None
        research_orthanc_behind = Orthanc(proxy.url, research_orthanc.username, research_orthanc.password)
        with pytest.raises(OrthancUnavailableError, match="other bytes"):
            deliver(research_orthanc_behind, make_slice())


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, STORAGE_FULL), "StorageFull"),
        ((500, b""), "OrthancUnavailable"),
        ((507, b""), "StorageFull"),
        ((401, b""), "Refused"),
        ((200, b"<html>"), "OrthancUnavailable"),
    ],
)
def test_while_the_research_orthanc_cannot_take_it_the_task_waits_and_no_attempt_is_used(
    queue, source_orthanc, research_orthanc, answer, code
):
    with faulty_proxy(research_orthanc.url) as proxy:
        behind = Orthanc(proxy.url, research_orthanc.username, research_orthanc.password)
        pipeline = Pipeline(queue, client(source_orthanc), behind)
        proxy.fault = lambda method, path: answer if method == "POST" else None
        subject = pipeline.send(make_slice(), client(source_orthanc))
        for _ in range(5):
            pipeline.run()
        row = pipeline.row(subject)
        assert (row["state"], row["error_code"], row["attempts"], row["delays"]) == ("queued", code, 0, 5)
        assert pipeline.source.instances(0, 10) == [subject]
        proxy.fault = lambda method, path: None
        pipeline.run()
        assert pipeline.row(subject)["state"] == "done"


@pytest.mark.parametrize("step", ["/compressed-data", "/instances", "/md5"])
def test_an_orthanc_that_hangs_holds_up_nothing_for_longer_than_the_time_out(
    queue, source_orthanc, research_orthanc, step
):
    release = threading.Event()
    with faulty_proxy(source_orthanc.url) as source, faulty_proxy(research_orthanc.url) as research:
        clients = [
            Orthanc(proxy.url, server.username, server.password, timeout=(1, 0.3))
            for proxy, server in ((source, source_orthanc), (research, research_orthanc))
        ]
        pipeline = Pipeline(queue, *clients)
        subject = pipeline.send(make_slice(), client(source_orthanc))

        def hang(method, path):
            if path.endswith(step):
                release.wait(20)

        source.fault = research.fault = hang
        pipeline.run()
        assert pipeline.row(subject)["error_code"] == "OrthancUnavailable"
        release.set()
        pipeline.run()
        assert pipeline.row(subject)["state"] == "done"


def test_what_is_away_ends_the_batch_and_the_rest_waits_unharmed(queue, source_orthanc, research_orthanc):
    with faulty_proxy(research_orthanc.url) as proxy:
        behind = Orthanc(proxy.url, research_orthanc.username, research_orthanc.password)
        pipeline = Pipeline(queue, client(source_orthanc), behind)
        for number in range(4):
            pipeline.send(make_slice(number), client(source_orthanc))
        proxy.fault = lambda method, path: (503, b"")
        assert len(pipeline.run()) == 1
        assert sorted(row["delays"] for row in queue.list_tasks()) == [0, 0, 0, 1]


def test_reconciliation_finds_what_the_feed_never_told(pipeline):
    subject = pipeline.source.upload(make_slice()).id
    reconciler = SourceReconciler(pipeline.source, pipeline.queue, preserve=False)
    assert reconciler.step() == 1
    assert reconciler.step() == 0
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"


def test_reconciliation_that_is_quicker_than_the_feed_changes_no_outcome(pipeline):
    subject = pipeline.source.upload(make_slice()).id
    SourceReconciler(pipeline.source, pipeline.queue, preserve=False).walk()
    pipeline.run()
    pipeline.ask(subject)
    pipeline.run()
    assert (pipeline.row(subject)["state"], pipeline.row(subject)["error_code"]) == ("done", None)


def test_reconciliation_leaves_to_a_person_what_waits_for_one(pipeline):
    pipeline.rules.before = lambda dataset: (_ for _ in ()).throw(QuarantineError("why"))
    subject = pipeline.send(make_slice())
    pipeline.run()
    assert SourceReconciler(pipeline.source, pipeline.queue, preserve=False).walk() == 0
    assert pipeline.row(subject)["state"] == "quarantined"


@pytest.mark.parametrize(("preserve", "found"), [(False, 1), (True, 0)])
def test_an_original_left_over_by_a_finished_task_begins_anew(pipeline, preserve, found):
    data = make_slice()
    subject = pipeline.send(data)
    pipeline.run()
    pipeline.source.upload(data)
    with pipeline.queue.database.transaction() as cursor:
        cursor.execute("UPDATE ingest.tasks SET finished_at = now() - interval '1 minute'")
    assert SourceReconciler(pipeline.source, pipeline.queue, preserve=preserve).walk() == found
    assert pipeline.row(subject)["state"] == ("queued" if found else "done")


def test_what_a_person_discarded_is_deleted_and_never_sent_on(pipeline):
    pipeline.rules.before = lambda dataset: (_ for _ in ()).throw(QuarantineError("why"))
    data = make_slice()
    subject = pipeline.send(data)
    pipeline.run()
    pipeline.queue.discard([pipeline.row(subject)["id"]])
    pipeline.rules.before = lambda dataset: None
    with pipeline.queue.database.transaction() as cursor:
        cursor.execute("UPDATE ingest.tasks SET finished_at = now() - interval '1 minute'")
    assert SourceReconciler(pipeline.source, pipeline.queue, preserve=False).walk() == 1
    pipeline.run()
    assert (pipeline.row(subject)["state"], pipeline.row(subject)["error_code"]) == ("discarded", "DiscardedByHand")
    assert pipeline.source.instances(0, 10) == pipeline.destination.instances(0, 10) == []
    pipeline.send(data)  # but a new send is a new matter
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"


def test_what_a_person_approved_is_sent_on_despite_the_finding(pipeline):
    subject = pipeline.source.upload(make_slice()).id
    made = pipeline.rules.apply(pipeline.source.download(subject)).data
    held = QuarantineError("found")
    held.findings, held.result = ({"path": "(0008,103E)", "rule": "no rule", "class": "name"},), made

    def hold(dataset):
        raise held

    pipeline.rules.before = hold
    pipeline.ask(subject)
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], row["detail"]) == ("quarantined", {"findings": list(held.findings)})
    assert pipeline.queue.approve([row["id"]]) == 1
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], row["detail"]["approved"]) == ("done", True)
    assert pipeline.destination.download(row["result"]) == made
    # The approval was for those bytes: what comes next under the same identity is looked at again.
    pipeline.send(make_slice(comment="other"))
    pipeline.run()
    assert pipeline.row(subject)["state"] == "quarantined"


def test_what_cannot_be_made_at_all_is_not_sent_on_by_an_approval(pipeline):
    def hold(dataset):
        raise QuarantineError("the pixels cannot be masked")

    pipeline.rules.before = hold
    subject = pipeline.send(make_slice())
    pipeline.run()
    assert pipeline.queue.approve([pipeline.row(subject)["id"]]) == 0
    assert pipeline.row(subject)["state"] == "quarantined"


def test_a_pool_works_off_the_queue_and_stops_when_told(pipeline):
    stop = threading.Event()
    pool = Pool(pipeline.queue, pipeline.worker, threads=3, stop=stop)
    pool.start()
    ids = [pipeline.send(make_slice(number)) for number in range(20)]
    wait_until(lambda: pipeline.queue.waiting(KIND)[0] == 0, "the queue")
    stop.set()
    pool.join()
    assert {pipeline.row(subject)["state"] for subject in ids} == {"done"}


def test_a_stopping_pool_gives_back_what_it_holds(pipeline):
    ids = [pipeline.send(make_slice(number)) for number in range(6)]
    stop = threading.Event()
    pipeline.rules.before = lambda dataset: stop.set()
    pool = Pool(pipeline.queue, pipeline.worker, threads=1, stop=stop)
    pool.start()
    pool.join()
    states = [pipeline.row(subject)["state"] for subject in ids]
    assert states.count("done") == 1
    assert states.count("queued") == 5


def test_what_killed_workers_before_runs_alone(pipeline):
    ids = [pipeline.send(make_slice(number)) for number in range(8)]
    with pipeline.queue.database.transaction() as cursor:
        cursor.execute("UPDATE ingest.tasks SET losses = 3 WHERE subject = %s", (ids[0],))
    at_work, together = set(), []

    def watch(dataset):
        at_work.add(int(dataset.InstanceNumber))
        time.sleep(0.01)
        together.append(set(at_work))
        at_work.discard(int(dataset.InstanceNumber))

    pipeline.rules.before = watch
    stop = threading.Event()
    pool = Pool(pipeline.queue, pipeline.worker, threads=4, stop=stop)
    pool.start()
    wait_until(lambda: pipeline.queue.waiting(KIND)[0] == 0, "the queue")
    stop.set()
    pool.join()
    assert {pipeline.row(subject)["state"] for subject in ids} == {"done"}
    assert [group for group in together if 0 in group] == [{0}]


def test_identifiers_stay_out_of_errors(pipeline, caplog):
    with pytest.raises(NotFoundError) as caught:
        pipeline.source.get_json("/patients/0123abcd-0123abcd-0123abcd-0123abcd-0123abcd/studies?x=Doe")
    assert str(caught.value) == "GET /patients/{id}/studies: Orthanc has no such resource"


def test_a_worker_whose_clock_is_off_by_an_hour(pipeline, monkeypatch):
    real = time.time
    for offset in (3600, -3600):
        monkeypatch.setattr(time, "time", lambda offset=offset: real() + offset)
        subject = pipeline.send(make_slice(offset + 4000))
        (task,) = pipeline.queue.claim(KIND, "off", 1)
        assert pipeline.queue.reap() == (0, 0)
        assert pipeline.queue.heartbeat("off", [task.id]) == {task.id}
        pipeline.queue.release("off", [task])
        pipeline.run()
        assert pipeline.row(subject)["state"] == "done"
