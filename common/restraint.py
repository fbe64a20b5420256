"""How long the threads of a pool hold back while a peer is away.

Each task waits by itself (:mod:`common.retry`). Besides, threads do not go through a long queue at full speed only to
find with each task that the peer is still away. But a task may be delayed again and again for a reason of its own, an
Orthanc that answers 500 to that instance alone: such must not slow down the others. So what was delayed before says
nothing new, and whatever is done shows that the peer is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from common.retry import back_off
from common.task import Result

LONGEST = 8.0
AGAIN = 1.0


class Restraint:
    """Counts the tasks that were delayed for the first time, one after the other, since something was done."""

    def __init__(self) -> None:
        self._delayed = 0

    def seconds(self, results: Sequence[Result]) -> float:
        """Return for how long a thread holds back after these results."""
        if any(result.state == "done" for result in results):
            self._delayed = 0
        delayed = [result for result in results if result.delays]
        if not delayed:
            return 0.0
        if any(result.task.delays == 0 for result in delayed):
            self._delayed += 1
            return back_off(AGAIN, LONGEST, self._delayed - 1)
        return back_off(AGAIN, AGAIN, 0) if self._delayed else 0.0

    def hold_back(self, results: Sequence[Result], stop: threading.Event) -> None:
        """Wait, until something is done or the pool stops."""
        until = time.monotonic() + self.seconds(results)
        while self._delayed and (left := until - time.monotonic()) > 0 and not stop.wait(min(left, 0.25)):
            continue
