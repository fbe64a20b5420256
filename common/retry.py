"""What follows an error: a value, decided by :func:`decide` alone.

Only errors of the subject itself use up attempts. A peer that is away, or refuses our credentials, delays a task; that
may last for days and loses nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from common.errors import QuarantineError, RefusedError, RejectedError, ResearchPacsError, TransientError

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
FIRST_RETRY, LONGEST_RETRY = 2.0, 300.0


@dataclass(frozen=True)
class Decision:
    """The state of a task after an error, seconds until it is tried again, and its counters."""

    state: str
    delay: float
    attempts: int
    delays: int
    error_code: str
    error: str


def back_off(first: float, longest: float, times: int) -> float:
    """Return seconds before the next try: doubled each time, capped; a random half of it spreads a herd."""
    whole = min(longest, first * 2.0 ** min(times, 32))
    return whole * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret


def decide(error: BaseException, *, attempts: int, delays: int, max_attempts: int) -> Decision:
    """Decide what follows an error.

    Parameters
    ----------
    attempts
        Used up before this one.
    delays
        In a row before this one.
    """
    code, message = describe(error)
    if is_transient(error):
        return Decision("queued", back_off(FIRST_DELAY, LONGEST_DELAY, delays), attempts, delays + 1, code, message)
    if isinstance(error, QuarantineError):
        return Decision("quarantined", 0, attempts + 1, 0, code, message)
    if attempts + 1 >= max_attempts:
        return Decision("failed", 0, attempts + 1, 0, code, message)
    return Decision("queued", back_off(FIRST_RETRY, LONGEST_RETRY, attempts), attempts + 1, 0, code, message)


def is_transient(error: BaseException) -> bool:
    """Tell whether an error is a peer's and not the subject's."""
    # A peer that refuses us has the wrong credentials or limits: a person mends that, and the task is still good.
    return isinstance(error, TransientError | RefusedError) and not isinstance(error, RejectedError)


def describe(error: BaseException) -> tuple[str, str]:
    """Return class and message of an error for a task's row; other people's messages may hold values."""
    if isinstance(error, ResearchPacsError):
        return error.code, str(error)[:2000]
    return "Unexpected", f"{type(error).__name__}; the log has the traceback"
