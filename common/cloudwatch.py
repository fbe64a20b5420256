"""The backlog as metrics of Amazon CloudWatch, for auto scaling from zero and for alarms.

Off unless ``RPACS_CLOUDWATCH_NAMESPACE`` is set. Published by the follower, the one process that runs when no worker
does. Needs ``cloudwatch:PutMetricData``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import TransientError
from common.tasks import Backlog, TaskQueue

if TYPE_CHECKING:
    from botocore.client import BaseClient

EVERY = 30.0
"""Seconds between two publications: alarms of a minute see each of them."""


class CloudWatchMetrics:
    """Publishes what waits of some kinds, each with the dimension ``Kind``, and all together without one.

    Parameters
    ----------
    namespace
        See ``RPACS_CLOUDWATCH_NAMESPACE``.
    region
        AWS region; where it is empty, as boto3 finds it.
    """

    def __init__(
        self, queue: TaskQueue, kinds: Sequence[str], namespace: str, *, region: str = "", endpoint: str | None = None
    ) -> None:
        self._queue, self._kinds, self._namespace = queue, tuple(kinds), namespace
        configuration = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 2})
        self._client: BaseClient = boto3.client(
            "cloudwatch", region_name=region or None, endpoint_url=endpoint, config=configuration
        )

    def publish(self) -> None:
        """Read the backlog and publish it.

        Raises
        ------
        TransientError
            CloudWatch does not answer, or refuses.
        DatabaseUnavailableError
            The queue cannot be read.
        """
        backlogs = {kind: self._queue.backlog(kind) for kind in self._kinds}
        data = _data(measures(total(backlogs.values())))
        for kind, backlog in backlogs.items():
            data += _data(measures(backlog), {"Name": "Kind", "Value": kind})
        try:
            self._client.put_metric_data(Namespace=self._namespace, MetricData=data)  # type: ignore[attr-defined]
        except (BotoCoreError, ClientError) as exc:
            raise TransientError(f"CloudWatch takes no metrics: {type(exc).__name__}") from exc


def total(backlogs: Iterable[Backlog]) -> Backlog:
    """Put together what waits for the same workers; all kinds of a side are fed by one change feed."""
    queued, running, workers, oldest, quarantined, failed, lag = zip(*backlogs, strict=True)
    return Backlog(sum(queued), sum(running), sum(workers), max(oldest), sum(quarantined), sum(failed), max(lag))


def _data(values: Mapping[str, float], *dimensions: Mapping[str, str]) -> list[dict[str, object]]:
    return [
        {
            "MetricName": name,
            "Dimensions": list(dimensions),
            "Value": float(value),
            "Unit": "Seconds" if name.endswith("Seconds") else "Count",
        }
        for name, value in values.items()
    ]


def measures(backlog: Backlog) -> dict[str, float]:
    """Name the measures as CloudWatch shows them."""
    return {
        "BacklogPerWorker": backlog.per_worker,
        "QueuedTasks": backlog.queued,
        "OpenTasks": backlog.queued + backlog.running,
        "OldestWaitingSeconds": backlog.oldest_seconds,
        "FeedLag": backlog.feed_lag,
        "FailedTasks": backlog.failed,
        "QuarantinedTasks": backlog.quarantined,
    }
