"""Peers that fail in the middle of things, poison, stalled and killed processes: with real servers and processes."""

from __future__ import annotations

import hashlib
import os
import signal
import threading

import psutil
import pytest

from common.change_feed import ChangeFeed
from common.orthanc import Orthanc
from common.tasks import TaskQueue
from common.worker import Batch, Pool
from deidentifier.reconcile import SourceReconciler
from deidentifier.worker import KIND
from demo.servers.process import wait_until
from tests.helpers.faulty_proxy import faulty_proxy
from tests.helpers.pipeline import Pipeline, client
from tests.helpers.slices import make_slice


def behind(proxy, server, **options):
    return Orthanc(proxy.url, server.username, server.password, **options)


@pytest.fixture
def faulty(queue, source_orthanc, research_orthanc):
    """Give a pipeline whose peers stand behind proxies, and these."""
    with faulty_proxy(source_orthanc.url) as source, faulty_proxy(research_orthanc.url) as research:
        parts = behind(source, source_orthanc), behind(research, research_orthanc)
        yield Pipeline(queue, *parts), source, research


def heal(*proxies):
    for proxy in proxies:
        proxy.fault = lambda method, path: None


@pytest.fixture
def work_off(queue):
    """Give a function that runs a pool until something holds."""
    stop, pools = threading.Event(), []

    def run(pipeline, condition, what, threads=4, seconds=20):
        pools.append(Pool(queue, pipeline.worker, threads=threads, stop=stop))
        pools[-1].start()
        wait_until(condition, what, seconds=seconds)

    yield run
    stop.set()
    for pool in pools:
        pool.join()


# --------------------------------------------------------------------------------------------------------- peers
@pytest.mark.parametrize("step", ["compressed-data", "/instances", "/md5", "DELETE"])
@pytest.mark.parametrize("side", ["source", "research"])
def test_credentials_that_are_refused_for_a_while_use_no_attempt(faulty, source_orthanc, side, step):
    pipeline, source, research = faulty
    subject = pipeline.send(make_slice(), client(source_orthanc))
    proxy = source if side == "source" else research
    proxy.fault = lambda method, path: (401, b"") if path.endswith(step) or method == step else None
    for _ in range(4):
        pipeline.run()
    assert pipeline.row(subject)["attempts"] == 0
    assert pipeline.row(subject)["state"] != "failed"
    heal(proxy)
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"
    assert (len(pipeline.results()), pipeline.source.instances(0, 10)) == (1, [])


@pytest.mark.parametrize("preserve", [False, True])
@pytest.mark.parametrize("answer", [(404, b"<html>no such site"), (400, b"plain HTTP to an HTTPS port"), (404, b"")])
def test_what_is_no_orthanc_decides_nothing(queue, source_orthanc, research_orthanc, answer, preserve):
    """A proxy that finds no Orthanc says 404 as well: nothing may be discarded, or fail, for that."""
    with faulty_proxy(source_orthanc.url) as source, faulty_proxy(research_orthanc.url) as research:
        parts = behind(source, source_orthanc), behind(research, research_orthanc)
        pipeline = Pipeline(queue, *parts, preserve=preserve)
        subject = pipeline.send(make_slice(), client(source_orthanc))
        for proxy in (source, research):
            proxy.fault = lambda method, path: answer
            for _ in range(4):
                pipeline.run()
            row = pipeline.row(subject)
            assert (row["state"], row["error_code"], row["attempts"]) == ("queued", "OrthancUnavailable", 0)
            heal(proxy)
        pipeline.run()
        assert pipeline.row(subject)["state"] == "done"


def test_an_original_that_others_delete_between_comparison_and_deletion(faulty, source_orthanc):
    pipeline, source, _ = faulty
    subject = pipeline.send(make_slice(), client(source_orthanc))

    def forestall(method, path):
        if method == "DELETE":
            client(source_orthanc).delete_instance(subject)

    source.fault = forestall
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"


def test_an_upload_that_arrives_damaged_is_no_delivery(faulty, source_orthanc):
    pipeline, _, research = faulty
    subject = pipeline.send(make_slice(rows=64), client(source_orthanc))
    research.change = lambda method, path, body: body[:-1000] + bytes(1000) if method == "POST" else body
    pipeline.run()
    assert pipeline.row(subject)["state"] == "queued"
    assert pipeline.source.instances(0, 10) == [subject]
    research.change = lambda method, path, body: body
    pipeline.run()
    assert pipeline.row(subject)["state"] == "done"


def test_an_original_that_is_damaged_on_its_disk_fails_and_is_not_begun_anew_for_ever(
    queue, make_orthanc, research_orthanc
):
    """Orthanc hands out bytes whose MD5 it does not keep: what was made of them is taken back."""
    server = make_orthanc("source")
    pipeline = Pipeline(queue, client(server), client(research_orthanc))
    subject, other = (pipeline.send(make_slice(number)) for number in (1, 2))
    md5 = pipeline.source.instance_md5(subject)
    server.stop()
    storage = server.server.log.parent / "storage"
    [file] = [each for each in storage.rglob("*-*") if hashlib.md5(each.read_bytes()).hexdigest() == md5]
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    server.restart()  # it keeps what it has just stored in memory
    pipeline.run()
    assert pipeline.row(subject)["attempts"] == 1
    for _ in range(2):
        pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], row["error_code"], row["result"]) == ("failed", "InvalidDicom", None)
    assert pipeline.destination.instances(0, 10) == [pipeline.row(other)["result"]]
    assert pipeline.source.instances(0, 10) == [subject]


# -------------------------------------------------------------------------------------------------------- poison
def test_what_orthanc_does_not_take_fails_and_is_seen(pipeline):
    """Rules may make what the research Orthanc cannot store; it answers 400, and would for ever."""

    made = pipeline.rules.apply

    def break_uid(data):
        result = made(data)
        return result if b"POISON" not in data else type(result)(result.data[:300], {}, "1")

    pipeline.rules.apply = break_uid
    ids = [pipeline.send(make_slice(number, comment="POISON" * (number == 2))) for number in (1, 2, 3)]
    for _ in range(3):
        pipeline.run()
    rows = [pipeline.row(subject) for subject in ids]
    assert [row["state"] for row in rows] == ["done", "failed", "done"]
    assert rows[1]["error_code"] == "Rejected"
    assert pipeline.source.instances(0, 10) == [ids[1]]


def test_twenty_instances_that_orthanc_fails_on_hold_up_no_other(faulty, source_orthanc, work_off, queue):
    """It answers 500 to these alone: they were delayed often, and each for up to a minute."""
    pipeline, source, _ = faulty
    sender = client(source_orthanc)
    poison = [pipeline.send(make_slice(number, patient="POISON"), sender) for number in range(20)]
    with queue.database.transaction() as cursor:
        cursor.execute("UPDATE ingest.tasks SET delays = 6")
    source.fault = lambda method, path: (500, b"") if any(each in path for each in poison) else None
    good = [pipeline.send(make_slice(number), sender) for number in range(20)]
    work_off(pipeline, lambda: {pipeline.row(each)["state"] for each in good} == {"done"}, "the good ones")
    assert {pipeline.row(each)["state"] for each in poison} <= {"queued", "running"}


@pytest.mark.parametrize("state", ["preserved", "gone"])
def test_a_discarded_task_is_tried_again_where_there_is_an_original(queue, source_orthanc, research_orthanc, state):
    parts = client(source_orthanc), client(research_orthanc)
    pipeline = Pipeline(queue, *parts, preserve=state == "preserved")
    pipeline.rules.discard = True
    subject = pipeline.send(make_slice())
    pipeline.run()
    pipeline.rules.discard = False
    assert queue.retry([pipeline.row(subject)["id"]]) == 1
    pipeline.run()
    row = pipeline.row(subject)
    assert (row["state"], row["error_code"]) == ("done" if state == "preserved" else "discarded", None)


# ------------------------------------------------------------------------------------------------------- workers
def test_a_worker_that_may_have_lost_its_task_uploads_nothing(pipeline):
    subject = pipeline.send(make_slice())
    tasks = pipeline.claim()
    batch = Batch(pipeline.queue, "me", tasks, lambda: False, lambda task: False)
    pipeline.queue.exchange(pipeline.worker.work(batch), KIND, "me", 0)
    row = pipeline.row(subject)
    assert (row["state"], row["error_code"], row["attempts"]) == ("queued", "LeaseEnded", 0)
    assert pipeline.destination.instances(0, 10) == []


def test_a_process_that_stood_still_does_not_put_old_bytes_in_the_place_of_new_ones(
    run, pipeline, source_orthanc, work_off
):
    """It is stopped with the first bytes in its hands; another process works on what came meanwhile."""
    arrived, release = threading.Event(), threading.Event()
    with faulty_proxy(source_orthanc.url) as source:

        def hang(method, path):
            if path.endswith("compressed-data"):
                arrived.set()
                release.wait(60)

        source.after = lambda method, path, status: hang(method, path)
        environ = {"RPACS_SOURCE_ORTHANC_HOSTNAME": source.url, "RPACS_TASK_LEASE_SECONDS": "5"}
        stopped = run("work", "--threads", "1", "--no-follow", **environ)
        subject = pipeline.send(make_slice(comment="old"))
        assert arrived.wait(20)
        stopped.process.send_signal(signal.SIGSTOP)
        pipeline.send(make_slice(comment="new"))
        reaper = TaskQueue(pipeline.queue.database, "ingest", lease_seconds=5)
        wait_until(lambda: reaper.reap() == (1, 0), "the end of the lease")
        work_off(pipeline, lambda: pipeline.row(subject)["state"] == "done", "the other's result")
        stopped.process.send_signal(signal.SIGCONT)
        release.set()
        wait_until(lambda: "LeaseEnded" in stopped.tail(), "the refusal")
    assert [result.ImageComments for result in pipeline.results()] == ["new"]
    assert pipeline.row(subject)["state"] == "done"


def test_sigterm_in_the_middle_of_an_upload_gives_the_task_back(run, pipeline, source_orthanc, research_orthanc):
    arrived, release = threading.Event(), threading.Event()
    with faulty_proxy(research_orthanc.url) as research:

        def hang(method, path):
            if method == "POST":
                arrived.set()
                release.wait(60)

        research.fault = hang
        process = run("work", RPACS_DESTINATION_ORTHANC_HOSTNAME=research.url)
        subject = client(source_orthanc).upload(make_slice(rows=2000)).id
        assert arrived.wait(20)
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(14) == 0
        row = pipeline.row(subject)
        assert (row["state"], row["attempts"], row["losses"]) == ("queued", 0, 0)
        assert pipeline.source.instances(0, 10) == [subject]
        release.set()
    run("work")
    wait_until(lambda: pipeline.row(subject)["state"] == "done", "the result")


def test_a_child_that_is_killed_is_replaced_and_nothing_is_lost(run, pipeline, source_orthanc):
    process = run("work", "--processes", "2", "--threads", "4", RPACS_TASK_LEASE_SECONDS="5")
    parent = psutil.Process(process.process.pid)
    workers = lambda: [child for child in parent.children() if "work" in child.cmdline()]  # noqa: E731
    wait_until(lambda: len(workers()) == 2, "children")
    sender, victim = client(source_orthanc), workers()[0]
    ids = [sender.upload(make_slice(number, rows=256)).id for number in range(60)]
    victim.kill()
    states = lambda: [row["state"] for row in pipeline.queue.list_tasks()]  # noqa: E731
    wait_until(lambda: states() == ["done"] * len(ids), "all of them", seconds=60)
    wait_until(lambda: len(workers()) == 2 and victim not in workers(), "another child")
    assert len(pipeline.destination.instances(0, 100)) == len(ids)
    assert sender.instances(0, 10) == []


SABOTAGE = """
import os, signal
import deidentifier.rules_in_force as rules
apply = rules.apply
def kill(deidentifier, data):
    if b"KILLER" in data:
        os.kill(os.getpid(), signal.SIGKILL)
    return apply(deidentifier, data)
rules.apply = kill
"""


def test_files_that_kill_their_workers_keep_no_other_from_its_end(run, pipeline, source_orthanc, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SABOTAGE)
    sender = client(source_orthanc)
    killers = {sender.upload(make_slice(number, patient="K", comment="KILLER")).id for number in range(4)}
    good = {sender.upload(make_slice(number)).id for number in range(20)}
    environ = {"RPACS_TASK_LEASE_SECONDS": "5", "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}"}
    run("work", "--processes", "2", "--threads", "4", **environ)

    def states(ids):
        return {row["state"] for row in pipeline.queue.list_tasks() if row["subject"] in ids}

    wait_until(lambda: states(good) == {"done"}, "the good ones", seconds=100)
    assert states(killers) <= {"queued", "running", "failed"}
    assert set(sender.instances(0, 100)) == killers


def test_a_connection_that_is_cut_while_ends_are_written_down(pipeline, ingest_database, work_off):
    """PostgreSQL ends the statement that finishes tasks: it is repeated, and nothing is worked on in vain."""
    owner = ingest_database.owner
    with owner.transaction() as cursor:
        cursor.execute("""
            CREATE FUNCTION ingest.linger() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
            CREATE TRIGGER linger BEFORE UPDATE ON ingest.tasks FOR EACH ROW WHEN (NEW.state = 'done')
            EXECUTE FUNCTION ingest.linger()""")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    subject = pipeline.send(make_slice())
    work_off(pipeline, lambda: owner.call(sleeping, ())[0][0] == 1, "the statement", threads=1)
    with owner.transaction() as cursor:
        cursor.execute(sleeping.replace("count(*)", "pg_terminate_backend(pid)"))
    wait_until(lambda: owner.call(sleeping, ())[0][0] == 1, "its repetition")
    with owner.transaction() as cursor:
        cursor.execute(sleeping.replace("count(*)", "pg_terminate_backend(pid)"))
        cursor.execute("DROP TRIGGER linger ON ingest.tasks")
    wait_until(lambda: pipeline.row(subject)["state"] == "done", "the end")
    assert (pipeline.row(subject)["losses"], len(pipeline.results())) == (0, 1)


# ---------------------------------------------------------------------------------------------------------- feed
def test_an_orthanc_that_begins_anew_with_an_empty_database(queue, make_orthanc, research_orthanc):
    """Its feed is too short to tell that it is another: what the feed does not tell, reconciliation finds."""
    pipeline = Pipeline(queue, client(make_orthanc("source")), client(research_orthanc))
    feed = lambda: ChangeFeed(pipeline.source, queue, kind=KIND, name="source")  # noqa: E731
    for number in range(5):
        pipeline.source.upload(make_slice(number))
    feed().step()
    pipeline.run()
    pipeline.source = client(make_orthanc("source"))
    again = Pipeline(queue, pipeline.source, pipeline.destination)
    ids = [pipeline.source.upload(make_slice(number)).id for number in (0, 7)]
    feed().step()
    with queue.database.transaction() as cursor:
        cursor.execute("UPDATE ingest.tasks SET finished_at = now() - interval '1 minute' WHERE state = 'done'")
    SourceReconciler(pipeline.source, queue, preserve=False).walk()
    again.run()
    assert [pipeline.row(subject)["state"] for subject in ids] == ["done", "done"]
    assert (len(pipeline.results()), pipeline.source.instances(0, 10)) == (6, [])
