"""The audit trail: appended only, and no change, gap or cut tail goes unseen."""

from __future__ import annotations

import logging
import re
import threading

import pytest

from common.audit import AuditTrail, Head, verify
from common.errors import RefusedError, StatementError

KEY = "k" * 32


@pytest.fixture
def trail(research_database):
    database = research_database.login("rpacs_website")
    trail = AuditTrail(database, "research", KEY)
    yield trail
    trail.close()
    database.close()


def _change(database, statement):
    with database.owner.transaction() as cursor:
        cursor.execute(statement)


def test_a_row_is_committed_when_append_returns(trail, research_database):
    trail.append({"action": "see", "user": "Müller\0\ud800"})
    with research_database.owner.transaction() as cursor:
        cursor.execute("SELECT seq, user_name, action, entry ->> 'at' = at FROM research.audit")
        assert cursor.fetchall() == [(1, "Müller\ufffd?", "see", True)]


def test_many_threads_and_processes_make_one_chain(research_database):
    databases = [research_database.login("rpacs_website") for _ in range(3)]
    trails = [AuditTrail(database, "research", KEY) for database in databases]

    def append(trail):
        for number in range(20):
            trail.append({"number": number})
            trail.append_later({"number": -number})

    threads = [threading.Thread(target=append, args=(trail,)) for trail in trails for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for trail, database in zip(trails, databases, strict=True):
        trail.close()
        database.close()
    result = verify(research_database.owner, "research", KEY)
    assert (result.rows, result.problems) == (360, ())


@pytest.fixture
def written(trail, research_database):
    for number in range(5):
        trail.append({"number": number})
    return research_database


def _problems(database, *heads, key=KEY):
    return list(verify(database.owner, "research", key, heads).problems)


def test_an_untouched_trail_is_whole(written, trail):
    assert _problems(written, trail.head()) == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("""UPDATE research.audit SET entry = '{"number":7}' WHERE seq = 3""", "row 3 was changed"),
        ("UPDATE research.audit SET mac = decode(repeat('00', 32), 'hex') WHERE seq = 3", "row 3 was changed"),
        ("DELETE FROM research.audit WHERE seq = 3", "rows 3 to 3 are missing"),
        ("DELETE FROM research.audit WHERE seq <= 2", "rows 1 to 2 are missing"),
        ("UPDATE research.audit SET seq = 9 WHERE seq = 3", "rows 3 to 3 are missing"),
        ("DELETE FROM research.audit WHERE seq = 5", "row 5 is missing: its head was logged"),
        ("DELETE FROM research.audit", "row 5 is missing: its head was logged"),
    ],
)
def test_what_was_done_to_it_shows(written, trail, statement, problem):
    head = trail.head()
    _change(written, statement)
    assert any(problem in found for found in _problems(written, head))


def test_a_rewritten_tail_shows_by_a_logged_head(written, trail):
    """Whoever has the key and the table can forge a whole tail, but not the log of the minute before."""
    head = trail.head()
    _change(written, "DELETE FROM research.audit WHERE seq = 5")
    trail.append({"number": "forged"})
    assert _problems(written) == []
    assert _problems(written, head) == ["row 5 is not the one whose head was logged"]


def test_another_key_verifies_nothing(written):
    assert len(_problems(written, key="x" * 32)) == 5


@pytest.mark.parametrize(
    "statement", ["UPDATE research.audit SET seq = 0", "DELETE FROM research.audit", "TRUNCATE research.audit"]
)
def test_the_website_may_only_append_and_read(written, statement):
    database = written.login("rpacs_website")
    with pytest.raises(StatementError, match="42501"), database.transaction() as cursor:
        cursor.execute(statement)
    database.close()


def test_what_cannot_be_committed_raises(trail, research_database):
    _change(research_database, "REVOKE INSERT ON research.audit FROM rpacs_website")
    with pytest.raises(StatementError):
        trail.append({"action": "see"})


def test_ends_of_requests_are_tried_again(trail, research_database):
    _change(research_database, "REVOKE INSERT ON research.audit FROM rpacs_website")
    trail.append_later({"action": "kept"})
    with pytest.raises(StatementError):
        trail.append({"action": "lost"})
    _change(research_database, "GRANT INSERT ON research.audit TO rpacs_website")
    trail.append({"action": "next"})
    with research_database.owner.transaction() as cursor:
        cursor.execute("SELECT action FROM research.audit ORDER BY seq")
        assert [row[0] for row in cursor.fetchall()] == ["kept", "next"]
    assert verify(research_database.owner, "research", KEY).problems == ()


def test_the_head_is_logged_at_the_stop(trail, caplog):
    trail.append({"action": "see"})
    head = trail.head()
    with caplog.at_level(logging.INFO):
        trail.close()
    assert re.search(r"audit head (\S+)", caplog.text).group(1) == str(head)
    with pytest.raises(RefusedError):
        trail.append({"action": "see"})


def test_the_head_is_logged_every_so_often(research_database, caplog, monkeypatch):
    monkeypatch.setattr("common.audit._HEAD_SECONDS", 0.05)
    database = research_database.login("rpacs_website")
    trail = AuditTrail(database, "research", KEY)
    with caplog.at_level(logging.INFO):
        while caplog.text.count("audit head 1:") < 2:
            if trail.head().seq == 0:
                trail.append({"action": "see"})
    trail.close()
    database.close()


@pytest.mark.parametrize("text", ["", "1", "1:", "1:zz", "x:" + "00" * 32, "-1:" + "00" * 32, "1:" + "00" * 31])
def test_malformed_heads(text):
    with pytest.raises(ValueError, match=r"."):
        Head.parse(text)


def test_heads_are_read_as_written():
    head = Head(12, bytes(range(32)))
    assert Head.parse(str(head)) == head
