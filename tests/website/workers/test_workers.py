"""The workers of the research side, on a real Orthanc, PostgreSQL and the index."""

from __future__ import annotations

import importlib
import io
import threading

import pydicom
import pytest

from common.change_feed import ChangeFeed
from common.errors import OrthancUnavailableError
from common.orthanc import READINESS_INSTANCE, Orthanc
from common.query import EVERYTHING
from common.tasks import Asked, TaskQueue
from common.worker import Batch
from demo.servers.pipeline import ROOT
from demo.servers.process import Server, wait_until
from tests.helpers.faulty_proxy import faulty_proxy
from tests.helpers.slices import make_slice
from website.index.index import Index
from website.workers.documents import DocumentBuilder
from website.workers.indexer import KIND, InstanceIndexer
from website.workers.reconciler import IndexReconciler


class Workers:
    """The parts, and one batch at a time."""

    def __init__(self, database, orthanc):
        self.orthanc = orthanc
        self.queue = TaskQueue(database, "research")
        self.index = Index(database)
        self.feed = ChangeFeed(orthanc, self.queue, kind=KIND, name="research")
        self.reconciler = IndexReconciler(orthanc, self.index, self.queue)
        self.indexer = InstanceIndexer(self.index, DocumentBuilder(orthanc))

    def run(self):
        while self.feed.step():
            pass
        return self.work()

    def work(self):
        tasks = self.queue.claim(KIND, "me", 100)
        results = self.indexer.work(Batch(self.queue, "me", tasks, lambda: False))
        self.queue.exchange(results, KIND, "me", 0)
        return results

    def indexed(self):
        return set(self.index.instance_ids())


@pytest.fixture
def workers(research_database, research_orthanc):
    orthanc = Orthanc(research_orthanc.url, research_orthanc.username, research_orthanc.password)
    return Workers(research_database.login("rpacs_website"), orthanc)


def test_what_anybody_sends_to_the_research_orthanc_is_indexed(workers):
    ids = {workers.orthanc.upload(make_slice(number)).id for number in range(5)}
    workers.run()
    assert workers.indexed() == ids
    assert workers.index.count(EVERYTHING).instances == 5


def test_the_pixels_of_a_large_instance_are_read_past(workers, monkeypatch):
    instance = workers.orthanc.upload(make_slice(rows=256)).id
    workers.run()
    whole = workers.index.document(instance)
    workers.index.remove([instance])
    monkeypatch.setattr("website.workers.documents.IN_MEMORY", 10_000)
    file = DocumentBuilder(workers.orthanc).download(instance)
    assert len(file.data) < 3_000 < 2 * 256 * 256 < file.size
    with workers.queue.database.transaction() as cursor:
        workers.queue.enqueue(cursor, KIND, [Asked(instance, 9, 9)])
    assert [result.bytes for result in workers.work()] == [file.size]
    assert workers.index.document(instance) == whole


def test_a_replaced_instance_is_indexed_anew(workers):
    instance = workers.orthanc.upload(make_slice(comment="old")).id
    workers.run()
    workers.orthanc.upload(make_slice(comment="new"))
    workers.run()
    assert workers.index.document(instance).texts["00204000"] == ("new",)


def test_an_instance_that_is_gone_leaves_the_index_at_once(workers):
    instance = workers.orthanc.upload(make_slice()).id
    workers.run()
    workers.orthanc.delete_instance(instance)
    with workers.queue.database.transaction() as cursor:
        workers.queue.enqueue(cursor, KIND, [Asked(instance, 9, 9)])
    workers.work()
    assert workers.indexed() == set()


def test_what_is_no_orthanc_takes_nothing_out_of_the_index(workers, research_orthanc):
    """A proxy that finds no Orthanc says 404 as well."""
    instance = workers.orthanc.upload(make_slice()).id
    workers.run()
    with workers.queue.database.transaction() as cursor:
        workers.queue.enqueue(cursor, KIND, [Asked(instance, 9, 9)])
    with faulty_proxy(research_orthanc.url) as proxy:
        proxy.fault = lambda method, path: (404, b"<html>no such site")
        behind = Orthanc(proxy.url, research_orthanc.username, research_orthanc.password)
        workers.indexer = InstanceIndexer(workers.index, DocumentBuilder(behind))
        [result] = workers.work()
    assert (result.state, result.error_code) == ("queued", "OrthancUnavailable")
    assert workers.indexed() == {instance}


def test_a_worker_that_may_have_lost_its_task_indexes_nothing(workers):
    instance = workers.orthanc.upload(make_slice(comment="new")).id
    workers.run()
    with workers.queue.database.transaction() as cursor:
        workers.queue.enqueue(cursor, KIND, [Asked(instance, 9, 9)])
    tasks = workers.queue.claim(KIND, "me", 1)
    workers.orthanc.upload(make_slice(comment="newer"))
    [result] = workers.indexer.work(Batch(workers.queue, "me", tasks, lambda: False, lambda task: False))
    assert (result.state, result.error_code) == ("queued", "LeaseEnded")
    assert workers.index.document(instance).texts["00204000"] == ("new",)


def test_one_bad_instance_keeps_no_other_from_the_index(workers):
    ids = [workers.orthanc.upload(make_slice(number)).id for number in range(3)]
    add = workers.index.add

    def refuse(documents):
        from common.errors import StatementError

        if any(document.ids.instance == ids[1] for document in documents):
            raise StatementError
        add(documents)

    workers.index.add = refuse
    states = {result.task.subject: result.state for result in workers.run()}
    assert states == {ids[0]: "done", ids[1]: "queued", ids[2]: "done"}


def test_identifiers_are_orthancs_even_where_it_computes_them_its_own_way(workers):
    dataset = pydicom.dcmread(io.BytesIO(make_slice()))
    dataset.PatientID = " odd "
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    answer = workers.orthanc.upload(buffer.getvalue())
    workers.run()
    ids = workers.index.document(answer.id).ids
    assert (ids.instance, ids.series, ids.study, ids.patient) == (
        answer.id,
        answer.series,
        answer.study,
        answer.patient,
    )


def test_deletions_in_orthanc_leave_the_index(workers):
    ids = [workers.orthanc.upload(make_slice(number)).id for number in range(4)]
    workers.run()
    workers.reconciler.step()  # the first look of a process is a full one
    assert workers.reconciler.step() is False
    workers.orthanc.delete_instance(ids[0])
    assert workers.reconciler.step() is True
    assert workers.indexed() == set(ids[1:])


def test_the_last_deletion_leaves_the_index_too(workers):
    instance = workers.orthanc.upload(make_slice()).id
    workers.run()
    workers.orthanc.delete_instance(instance)
    workers.reconciler.step()
    assert workers.indexed() == set()


def test_an_instance_without_a_row_is_asked_for(workers):
    instance = workers.orthanc.upload(make_slice()).id
    workers.reconciler.step()
    workers.work()
    assert workers.indexed() == {instance}


@pytest.mark.parametrize("answers", ["nothing", "an empty list and a count", "an error"])
def test_an_index_is_not_emptied_because_orthanc_answers_nothing(workers, research_orthanc, answers):
    instance = workers.orthanc.upload(make_slice()).id
    workers.run()

    def lost(method, path):
        if path.startswith("/instances"):
            return (500, b"") if answers == "an error" else (200, b"[]")
        if path.startswith("/statistics"):
            return 200, b'{"CountInstances": %d}' % (answers == "an empty list and a count")
        if path.startswith("/changes"):
            return 200, b'{"Changes": [], "Done": true, "Last": 0}'
        return None

    with faulty_proxy(research_orthanc.url) as proxy:
        proxy.fault = lost
        orthanc = Orthanc(proxy.url, research_orthanc.username, research_orthanc.password)
        with pytest.raises(OrthancUnavailableError):
            IndexReconciler(orthanc, workers.index, workers.queue).step()
    assert workers.indexed() == {instance}


def test_as_a_process_with_deletions(research_database, research_orthanc, workers, tmp_path, python):
    environ = {
        **research_database.environ("rpacs_website"),
        "RPACS_ORTHANC_HOSTNAME": research_orthanc.url,
        "RPACS_ORTHANC_USERNAME": research_orthanc.username,
        "RPACS_ORTHANC_PASSWORD": research_orthanc.password,
        "RPACS_RECONCILE_SECONDS": "1",
        "RPACS_AUDIT_KEY": "a" * 32,
    }
    process = Server("work", [python, "-m", "website", "work"], log=tmp_path / "log", environ=environ)
    process.start(lambda: True)
    try:
        ids = [workers.orthanc.upload(make_slice(number)).id for number in range(10)]
        wait_until(lambda: workers.indexed() == set(ids), "ten rows")
        workers.orthanc.delete_instance(ids[3])
        wait_until(lambda: workers.indexed() == set(ids) - {ids[3]}, "nine rows")
        process.process.terminate()
        assert process.process.wait(20) == 0
    finally:
        process.stop()
    for word in ("Doe", "P1", *ids):
        assert word not in process.log.read_text()


def test_unknown_roles_are_refused(capsys):
    from website.__main__ import main

    assert main(["work", "--only", "indx"]) == 2
    assert "follow, reconcile, index, export" in capsys.readouterr().err


def test_many_at_once_in_threads(workers):
    ids = {workers.orthanc.upload(make_slice(number, series=number % 3)).id for number in range(60)}
    while workers.feed.step():
        pass

    def work():
        while tasks := workers.queue.claim(KIND, "me", 5):
            results = workers.indexer.work(Batch(workers.queue, "me", tasks, lambda: False))
            workers.queue.exchange(results, KIND, "me", 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    with workers.queue.database.transaction() as cursor:
        cursor.execute("UPDATE research.tasks SET available_at = now()")
    work()
    assert workers.indexed() == ids


def test_the_readiness_instance_is_nobodys_data(workers, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "orthanc"))
    ready = importlib.import_module("ready")
    stored = workers.orthanc.upload(ready.make_instance()).id
    assert stored == READINESS_INSTANCE == ready.instance_id()
    kept = workers.orthanc.upload(make_slice()).id
    workers.run()
    assert workers.indexed() == {kept}
    assert workers.orthanc.count_instances() == 1
    assert workers.reconciler.step() is True  # the daily walk
    assert workers.queue.waiting(KIND)[0] == 0
    assert workers.reconciler.step() is False  # the counts agree
    assert workers.indexed() == {kept}
