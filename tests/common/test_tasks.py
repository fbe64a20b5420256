"""The task queue, on a real PostgreSQL."""

import threading

import pytest

from common.errors import InvalidDicomError, OrthancUnavailableError, QuarantineError
from common.tasks import MAX_LOSSES, Asked, Result, TaskQueue

KIND = "deidentify"


@pytest.fixture
def queue(ingest_database):
    return TaskQueue(ingest_database.login("rpacs_deidentifier"), "ingest", lease_seconds=30)


def ask(queue, *subjects, feed=1, first=1):
    with queue.database.transaction() as cursor:
        return queue.enqueue(cursor, KIND, [Asked(s, feed, first + n) for n, s in enumerate(subjects)])


def row(queue, subject="a"):
    return queue.list_tasks(subjects=[subject])[0]


def execute(queue, statement):
    with queue.database.transaction() as cursor:
        cursor.execute(statement)


def test_the_same_change_asks_once(queue):
    assert ask(queue, "a", "b") == 2
    assert ask(queue, "a", "b") == 0
    assert len(queue.list_tasks()) == 2


def test_a_lower_sequence_number_that_appears_late_is_another_subject_and_counts(queue):
    ask(queue, "late", first=10)
    assert ask(queue, "early", first=3) == 1


@pytest.mark.parametrize(("feed", "seq", "begins"), [(1, 1, 0), (1, 2, 1), (2, 1, 1)])
def test_a_finished_task_begins_anew_for_a_newer_change_only(queue, feed, seq, begins):
    ask(queue, "a")
    (task,) = queue.claim(KIND, "me", 1)
    queue.exchange([Result(task, "done", result="r")], KIND, "me", 0)
    assert ask(queue, "a", feed=feed, first=seq) == begins
    assert row(queue)["state"] == ("queued" if begins else "done")
    assert row(queue)["result"] == "r"


def test_asked_for_while_it_runs_it_runs_once_more(queue):
    ask(queue, "a")
    (task,) = queue.claim(KIND, "me", 1)
    ask(queue, "a", first=2)
    assert queue.claim(KIND, "other", 1) == []
    (again,) = queue.exchange([Result(task, "done")], KIND, "me", 1)
    assert again.id == task.id
    assert queue.exchange([Result(again, "done")], KIND, "me", 1) == []
    assert row(queue)["state"] == "done"


def test_two_workers_never_hold_one_task(queue):
    ask(queue, *(f"s{n}" for n in range(200)))
    taken = {name: [] for name in "abcd"}

    def work(name):
        while tasks := queue.claim(KIND, name, 7):
            taken[name] += [task.id for task in tasks]

    threads = [threading.Thread(target=work, args=(name,)) for name in taken]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    everything = [task for tasks in taken.values() for task in tasks]
    assert len(everything) == len(set(everything)) == 200


def test_who_lost_the_lease_writes_nothing(queue):
    ask(queue, "a")
    (task,) = queue.claim(KIND, "slow", 1)
    execute(queue, "UPDATE ingest.tasks SET worker = 'fast'")
    assert queue.heartbeat("slow", [task.id]) == set()
    assert queue.decide("slow", [Result(task, "done")]) == set()
    queue.exchange([Result(task, "done")], KIND, "slow", 0)
    assert row(queue)["state"] == "running"


def end_lease(queue):
    execute(queue, "UPDATE ingest.tasks SET lease_until = now() - interval '1 second' WHERE state = 'running'")
    queue.lease_seconds = 0  # PostgreSQL itself has been up for long enough
    reaped = queue.reap()
    queue.lease_seconds = 30
    return reaped


def test_a_task_whose_workers_die_is_set_apart_and_fails_in_the_end(queue):
    ask(queue, "a")
    for death in range(MAX_LOSSES):
        take = queue.claim_suspect if death >= 2 else lambda kind, worker: queue.claim(kind, worker, 5)
        (task,) = take(KIND, "doomed")
        assert task.losses == death
        assert end_lease(queue) == ((1, 0) if death < MAX_LOSSES - 1 else (0, 1))
    assert (row(queue)["state"], row(queue)["error_code"]) == ("failed", "LostLease")


def test_a_lease_that_ended_while_postgresql_was_away_is_nobodys_fault(queue):
    ask(queue, "a")
    queue.claim(KIND, "me", 1)
    execute(queue, "UPDATE ingest.tasks SET lease_until = now() - interval '1 second'")
    queue.lease_seconds = 86400  # longer than this PostgreSQL has been up
    assert queue.reap() == (0, 0)


def test_errors_of_the_subject_use_up_attempts_and_a_peer_that_is_away_does_not(queue):
    ask(queue, "a")
    (task,) = queue.claim(KIND, "me", 1)
    for error, attempts, state in [
        (OrthancUnavailableError(), 0, "queued"),
        (InvalidDicomError(), 1, "queued"),
        (OrthancUnavailableError(), 1, "queued"),
        (InvalidDicomError(), 2, "queued"),
        (InvalidDicomError(), 3, "failed"),
    ]:
        queue.exchange([queue.result_of_error(task, error)], KIND, "me", 0)
        assert (row(queue)["attempts"], row(queue)["state"]) == (attempts, state)
        execute(queue, "UPDATE ingest.tasks SET available_at = now()")
        task = next(iter(queue.claim(KIND, "me", 1)), task)


def test_what_needs_a_person_waits_for_one(queue):
    ask(queue, "a")
    (task,) = queue.claim(KIND, "me", 1)
    queue.exchange([queue.result_of_error(task, QuarantineError("why"))], KIND, "me", 0)
    assert (row(queue)["state"], row(queue)["error"]) == ("quarantined", "why")
    assert queue.retry([task.id]) == 1
    assert row(queue)["state"] == "queued"
    assert queue.discard([task.id]) == 1
    assert row(queue)["error_code"] == "DiscardedByHand"


def test_old_rows_shrink_into_counts_and_results_are_remembered(queue):
    ask(queue, "a", "b")
    tasks = queue.claim(KIND, "me", 2)
    queue.exchange([Result(task, "done", result="r" + task.subject, bytes=5) for task in tasks], KIND, "me", 0)
    execute(queue, "UPDATE ingest.tasks SET finished_at = now() - interval '31 days'")
    execute(queue, "UPDATE ingest.tasks SET finished_at = now() WHERE subject = 'b'")
    assert queue.prune(KIND, 30 * 86400) == 1
    assert [task["subject"] for task in queue.list_tasks()] == ["b"]
    with queue.database.transaction() as cursor:
        cursor.execute("SELECT kind, state, tasks, bytes FROM ingest.task_days")
        assert cursor.fetchall() == [(KIND, "done", 1, 5)]
    ask(queue, "a", first=9)
    assert queue.claim(KIND, "me", 1)[0].result == "ra"


def test_the_portal_sees_counts_and_nothing_else(ingest_database, queue):
    ask(queue, "a")
    portal = ingest_database.login("rpacs_website")
    with portal.transaction() as cursor:
        cursor.execute("SELECT state, tasks FROM ingest.status")
        assert cursor.fetchall() == [("queued", 1)]
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'ingest'"
            " AND has_any_column_privilege(format('%I.%I', table_schema, table_name)::regclass, 'SELECT')"
        )
        assert {name for (name,) in cursor.fetchall()} == {"status", "status_rules", "status_days"}
