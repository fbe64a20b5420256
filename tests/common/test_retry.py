"""What follows an error, as a table."""

import pytest

from common.errors import (
    DatabaseUnavailableError,
    InvalidDicomError,
    NotFoundError,
    OrthancUnavailableError,
    QuarantineError,
    RefusedError,
    StorageFullError,
    StorageUnavailableError,
)
from common.retry import LONGEST_DELAY, back_off, decide


@pytest.mark.parametrize(
    ("error", "attempts", "state", "attempts_after"),
    [
        (OrthancUnavailableError(), 2, "queued", 2),
        (StorageFullError(), 2, "queued", 2),
        (StorageUnavailableError(), 2, "queued", 2),
        (DatabaseUnavailableError(), 2, "queued", 2),
        (RefusedError(), 2, "queued", 2),
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
