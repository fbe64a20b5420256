"""A simulation of the template's scaling of de-identifiers, minute by minute, against fleets of a fixed size.

The policy is read from the template: thresholds, steps, cool-downs, periods. What a worker gets done is handed in,
measured. Prices and start-up times are Amazon's, and are constants here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.helpers.cloudformation import Stack, parameters

# AWS Fargate, Linux on ARM, Europe (Frankfurt), dollars an hour, November 2026: 2 vCPU and 8 GB as the template asks.
WORKER_HOUR = 2 * 0.03725 + 8 * 0.00409
START_MINUTES = 2
"""From the decision until a task works: the image is pulled, Python starts, the health check passes."""
DAY = 24 * 60


@dataclass(frozen=True)
class Policy:
    """What the alarms and steps of the template say."""

    target: float
    percent: int
    smallest_step: int
    out_cooldown: int
    sleep_minutes: int
    maximum: int


def template_policy() -> Policy:
    """Read the de-identifier's policy from the template."""
    stack = Stack(parameters())
    step = _steps(stack, "DeidentifierOutPolicy")
    sleep = stack.resources["DeidentifierSleepAlarm"]["Properties"]
    return Policy(
        target=float(stack.values["BacklogPerWorkerTarget"]),
        percent=step["StepAdjustments"][0]["ScalingAdjustment"],
        smallest_step=step["MinAdjustmentMagnitude"],
        out_cooldown=step["Cooldown"] // 60,
        sleep_minutes=sleep["Period"] * sleep["EvaluationPeriods"] // 60,
        maximum=int(stack.values["DeidentifierMaximum"]),
    )


def _steps(stack: Stack, name: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.resources[name]["Properties"]["StepScalingPolicyConfiguration"]
    return found


@dataclass
class Run:
    """What became of a trace."""

    backlog: list[float] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Dollars for the workers."""
        return sum(self.workers) / 60 * WORKER_HOUR

    @property
    def longest_wait(self) -> int:
        """Most minutes in a row with something waiting: how long a backlog takes to be worked off."""
        longest = current = 0
        for left in self.backlog:
            current = current + 1 if left > 0 else 0
            longest = max(longest, current)
        return longest


def simulate(arrivals: Sequence[float], per_minute: float, scale: Callable[[Run, int, float], int]) -> Run:
    """Work off what arrives; ``scale`` says, each minute, how many workers are wanted.

    Parameters
    ----------
    arrivals
        Instances that arrive in each minute.
    per_minute
        Instances that one worker gets done in a minute.
    """
    run, left, wanted = Run(), 0.0, [0] * START_MINUTES
    for minute, arrived in enumerate(arrivals):
        # A worker that is asked for now works some minutes later; one that is given up stops at once.
        now = scale(run, minute, left)
        wanted.append(now)
        working = min(wanted[-1 - START_MINUTES :])
        left = max(0.0, left + arrived - working * per_minute)
        run.backlog.append(left)
        run.workers.append(now)
    return run


def fixed(count: int) -> Callable[[Run, int, float], int]:
    """Return a fleet that never changes."""
    return lambda run, minute, left: count


class Scaling:
    """The policy at work: alarms see the metrics of the minute before."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._workers, self._idle, self._cooled = 0, 0, -math.inf

    def __call__(self, run: Run, minute: int, left: float) -> int:
        """Return how many workers are wanted."""
        policy, open_tasks = self._policy, left
        self._idle = 0 if open_tasks > 0 else self._idle + 1
        if self._workers == 0 and open_tasks > 0:
            self._workers = 1
        elif self._idle >= policy.sleep_minutes:
            self._workers = 0
        elif left / max(1, self._workers) >= policy.target and minute - self._cooled >= policy.out_cooldown:
            step = max(policy.smallest_step, math.floor(self._workers * policy.percent / 100))
            self._workers = min(policy.maximum, self._workers + step)
            self._cooled = minute
        return self._workers


def traces(per_minute: float, maximum: int) -> dict[str, list[float]]:
    """Return arrivals for each minute of two days: a night's backlog, working days, quiet days.

    The backlog is what the largest fleet needs two hours for; a PACS forwards it within one, and then there is nothing.
    """
    backlog = 120 * maximum * per_minute
    night = [backlog / 60 if 22 * 60 <= minute < 23 * 60 else 0.0 for minute in range(2 * DAY)]
    hours = [minute % DAY / 60 for minute in range(2 * DAY)]
    # From 7 to 19 o'clock a swell that two workers are just enough for; a trickle at night.
    working = [0.02 + 1.5 * math.sin(math.pi * (hour - 7) / 12) if 7 <= hour < 19 else 0.02 for hour in hours]
    quiet = [300.0 if minute % 240 == 0 else 0.0 for minute in range(2 * DAY)]
    return {"a night's backlog": night, "working days": [share * per_minute for share in working], "quiet days": quiet}


def cost_of_the_work(arrivals: Sequence[float], per_minute: float) -> float:
    """Return dollars for the work alone: workers that are there exactly while they have something to do."""
    return sum(arrivals) / per_minute / 60 * WORKER_HOUR
