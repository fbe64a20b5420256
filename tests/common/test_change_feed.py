"""Following a change feed whose sequence numbers appear out of order, end, and begin again."""

import random
import threading

import pytest

from common import change_feed
from common.change_feed import OVERLAP, ChangeFeed, FeedState, follow, is_new_feed
from common.errors import OrthancUnavailableError
from common.orthanc import Change, ChangesPage
from common.tasks import TaskQueue


class FakeOrthanc:
    """A feed whose rows become visible when the test says so: a real one's order cannot be forced."""

    def __init__(self):
        self.rows: dict[int, Change] = {}
        self.last = 0
        self.fails = 0

    def show(self, *seqs, prefix="i", date="20261123T101112"):
        for seq in seqs:
            self.rows[seq] = Change(seq, "NewInstance", f"{prefix}{seq}", date)
            self.last = seq  # as the plugin does: the last that was committed, which may be lower than before

    def changes(self, since, limit):
        if self.fails:
            self.fails -= 1
            raise OrthancUnavailableError
        rows = sorted((row for row in self.rows.values() if row.seq > since), key=lambda row: row.seq)
        page = tuple(rows[:limit])
        return ChangesPage(page, page[-1].seq if page else self.last, len(page) == len(rows))


@pytest.fixture
def queue(ingest_database):
    return TaskQueue(ingest_database.login("rpacs_deidentifier"), "ingest")


@pytest.fixture
def orthanc():
    return FakeOrthanc()


def make(orthanc, queue):
    return ChangeFeed(orthanc, queue, kind="deidentify", name="source", overlap_every=0)


def drain(feed):
    while feed.step():
        pass


def subjects(queue):
    return {row["subject"] for row in queue.list_tasks(limit=100_000)}


def generation(queue):
    with queue.database.transaction() as cursor:
        cursor.execute("SELECT generation FROM ingest.feeds")
        return cursor.fetchone()[0]


def test_a_smaller_number_that_becomes_visible_late_is_not_missed(orthanc, queue):
    feed = make(orthanc, queue)
    orthanc.show(1, 2, 4, 5)
    drain(feed)
    orthanc.show(3)
    assert orthanc.last == 3  # Last went back
    drain(feed)
    assert subjects(queue) == {"i1", "i2", "i3", "i4", "i5"}
    assert generation(queue) == 1


def test_any_order_of_many_connections(orthanc, queue):
    seqs = list(range(1, 1001))
    chance = random.Random(7)
    seqs.sort(key=lambda seq: seq + chance.uniform(0, 40))
    feed = make(orthanc, queue)
    for at in range(0, 1000, 13):
        orthanc.show(*seqs[at : at + 13])
        feed.step()
    drain(feed)
    assert len(subjects(queue)) == 1000


def test_a_transaction_that_hung_for_long_is_found_by_the_deep_look(orthanc, queue, monkeypatch):
    monkeypatch.setattr(change_feed, "DEEP_EVERY", 0.0)
    feed = make(orthanc, queue)
    orthanc.show(*(seq for seq in range(1, 3001) if seq != 7))
    drain(feed)
    orthanc.show(7)
    orthanc.last = 3000
    drain(feed)
    assert "i7" in subjects(queue)


def test_a_follower_that_takes_over_reads_again_and_asks_for_nothing_twice(orthanc, queue):
    orthanc.show(*range(1, 301))
    drain(make(orthanc, queue))
    tasks = queue.claim("deidentify", "me", 300)
    assert len(tasks) == 300
    drain(make(orthanc, queue))
    with queue.database.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM ingest.tasks WHERE again")
        assert cursor.fetchone() == (0,)


def test_a_resend_asks_again(orthanc, queue):
    feed = make(orthanc, queue)
    orthanc.show(1)
    drain(feed)
    (task,) = queue.claim("deidentify", "me", 1)
    orthanc.rows = {9: Change(9, "NewInstance", "i1", "d")}
    orthanc.last = 9
    drain(feed)
    assert queue.list_tasks()[0]["seq"] == 9
    assert task.subject == "i1"


def test_a_database_that_was_replaced_is_read_from_its_beginning(orthanc, queue):
    feed = make(orthanc, queue)
    orthanc.show(*range(1, 501))
    drain(feed)
    orthanc.rows.clear()
    orthanc.last = 0
    orthanc.show(1, 2, prefix="other")
    drain(feed)
    assert generation(queue) == 2
    assert {"other1", "other2"} <= subjects(queue)


def test_a_replaced_database_is_noticed_by_the_anchor_when_it_grew_beyond_the_position(orthanc, queue):
    orthanc.show(*range(1, 51))
    drain(make(orthanc, queue))
    orthanc.rows.clear()
    orthanc.show(*range(1, 200), prefix="other")
    drain(make(orthanc, queue))
    assert generation(queue) == 2
    assert {f"other{seq}" for seq in range(1, 200)} <= subjects(queue)


def test_deleted_resources_vanish_and_that_is_no_new_feed(orthanc, queue):
    feed = make(orthanc, queue)
    orthanc.show(*range(1, 301))
    drain(feed)
    orthanc.rows.clear()  # Last stands: measured with Orthanc 1.10.1
    drain(feed)
    orthanc.show(301)
    drain(feed)
    assert generation(queue) == 1
    assert len(subjects(queue)) == 301


@pytest.mark.parametrize(
    ("last", "changes", "new"),
    [
        (1000, [], False),
        (1000 - OVERLAP, [], False),
        (1000 - OVERLAP - 1, [], True),
        (1000, [Change(1000, "NewInstance", "a", "d")], False),
        (1000, [Change(1000, "NewInstance", "b", "d")], True),
        (1000, [Change(1000, "NewInstance", "a", "e")], True),
        (1001, [Change(999, "NewInstance", "b", "e")], False),
    ],
)
def test_what_makes_a_feed_new(last, changes, new):
    state = FeedState(1, 1000, 1000, "a", "d")
    assert is_new_feed(state, ChangesPage(tuple(changes), last, True)) is new


def test_one_follower_at_a_time(orthanc, queue):
    orthanc.show(1)
    with queue.database.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('ingest feed source'))")
        assert make(orthanc, queue).step() is False
        assert subjects(queue) == set()
        cursor.execute("SELECT pg_advisory_unlock(hashtext('ingest feed source'))")
        drain(make(orthanc, queue))
    assert subjects(queue) == {"i1"}


def test_following_survives_a_peer_that_is_away_and_stops_when_told(orthanc, queue):
    orthanc.fails = 2
    orthanc.show(1)
    stop = threading.Event()
    feed = make(orthanc, queue)
    step = feed.step

    def step_once():
        try:
            return step()
        finally:
            if not orthanc.fails and subjects(queue):
                stop.set()

    feed.step = step_once
    follow(feed, stop, every=0.01)
    assert subjects(queue) == {"i1"}


def test_the_overlap_is_read_again_every_second_and_the_anchor_in_every_step(orthanc, queue, monkeypatch):
    feed = ChangeFeed(orthanc, queue, kind="deidentify", name="source")
    orthanc.show(*range(1, 151))
    drain(feed)
    asked, now = [], change_feed.time.monotonic()
    read = orthanc.changes
    monkeypatch.setattr(orthanc, "changes", lambda since, limit: asked.append(since) or read(since, limit))
    feed.step()
    monkeypatch.setattr(change_feed.time, "monotonic", lambda: now + change_feed.OVERLAP_EVERY)
    feed.step()
    assert asked[:2] == [149, 50]
