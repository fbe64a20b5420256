"""The threads of a side's follower, of which one small replica always runs."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

from common.change_feed import ChangeFeed, follow
from common.cloudwatch import EVERY, CloudWatchMetrics
from common.service import repeat, start_thread
from common.settings import TaskSettings
from common.tasks import TaskQueue


def start_follower(
    feed: ChangeFeed, queue: TaskQueue, kinds: Sequence[str], settings: TaskSettings, stop: Event
) -> None:
    """Start the threads that read the change feed, free the tasks of dead workers, and publish the backlog.

    Parameters
    ----------
    kinds
        Of the tasks whose backlog is published.
    """
    start_thread("follow", follow, feed, stop)
    start_thread("reap", repeat, "reap", queue.reap, stop, max(1.0, settings.task_lease_seconds / 4))
    if settings.cloudwatch_namespace:
        metrics = CloudWatchMetrics(queue, kinds, settings.cloudwatch_namespace, region=settings.aws_region)
        start_thread("cloudwatch", repeat, "cloudwatch", metrics.publish, stop, EVERY)
