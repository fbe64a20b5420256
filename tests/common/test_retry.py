"""What follows an error, as a table."""

import pytest

from common.errors import (
    DatabaseUnavailableError,
    InvalidDicomError,
    LeaseEndedError,
    NotFoundError,
    OrthancUnavailableError,
    QuarantineError,
    RefusedError,
    RejectedError,
    StorageFullError,
    StorageUnavailableError,
)
from common.restraint import LONGEST, Restraint
from common.retry import LONGEST_DELAY, back_off, decide
from common.tasks import Result, Task


@pytest.mark.parametrize(
    ("error", "attempts", "state", "attempts_after"),
    [
        (OrthancUnavailableError(), 2, "queued", 2),
        (StorageFullError(), 2, "queued", 2),
        (StorageUnavailableError(), 2, "queued", 2),
        (DatabaseUnavailableError(), 2, "queued", 2),
        (RefusedError(), 2, "queued", 2),
        (LeaseEndedError(), 2, "queued", 2),
        (RejectedError(), 2, "failed", 3),
        (QuarantineError(), 0, "quarantined", 1),
        (InvalidDicomError(), 0, "queued", 1),
        (InvalidDicomError(), 1, "queued", 2),
        (InvalidDicomError(), 2, "failed", 3),
        (NotFoundError(), 2, "failed", 3),
        (ValueError("Doe^Jane"), 0, "queued", 1),
        (ValueError("Doe^Jane"), 2, "failed", 3),
    ],
)
def test_decisions(error, attempts, state, attempts_after):
    decision = decide(error, attempts=attempts, delays=0, max_attempts=3)
    assert (decision.state, decision.attempts) == (state, attempts_after)
    assert (decision.delay > 0) == (state == "queued")
    assert "Doe" not in decision.error


@pytest.mark.parametrize("times", [0, 1, 5, 40, 10**6])
def test_back_off_grows_to_a_cap_and_is_spread(times):
    delays = {back_off(1, LONGEST_DELAY, times) for _ in range(50)}
    whole = min(LONGEST_DELAY, 2.0 ** min(times, 32))
    assert len(delays) > 40
    assert all(whole / 2 <= delay <= whole for delay in delays)


def end(state, delays_before=0):
    task = Task(1, "deidentify", "a", delays=delays_before)
    return Result(task, state, delays=delays_before + 1 if state == "queued" else 0)


def test_threads_hold_back_ever_longer_while_nothing_can_be_done():
    restraint = Restraint()
    seconds = [restraint.seconds([end("queued")]) for _ in range(12)]
    assert seconds[0] <= 1
    assert LONGEST / 2 <= seconds[-1] <= LONGEST
    assert restraint.seconds([end("done"), end("queued")]) <= 1


def test_what_was_delayed_before_slows_down_nobody_while_others_are_done():
    restraint = Restraint()
    assert [restraint.seconds([end("queued", 6)]) for _ in range(3)] == [0, 0, 0]
    restraint.seconds([end("queued")])
    assert 0 < restraint.seconds([end("queued", 6)]) <= 1
    restraint.seconds([end("done")])
    assert restraint.seconds([end("queued", 6)]) == 0
    assert restraint.seconds([end("failed"), end("quarantined"), end("discarded")]) == 0
