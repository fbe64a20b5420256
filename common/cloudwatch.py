"""The backlog as metrics of Amazon CloudWatch, for auto scaling from zero and for alarms.

Off unless ``RPACS_CLOUDWATCH_NAMESPACE`` is set. Published by the follower, the one process that runs when no worker
does. Needs ``cloudwatch:PutMetricData``.
"""

from __future__ import annotations

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
    """Publishes what waits of one kind, with the dimension ``Kind``.

    Parameters
    ----------
    namespace
        See ``RPACS_CLOUDWATCH_NAMESPACE``.
    region
        AWS region; where it is empty, as boto3 finds it.
    """

    def __init__(
        self, queue: TaskQueue, kind: str, namespace: str, *, region: str = "", endpoint: str | None = None
    ) -> None:
        self._queue, self._kind, self._namespace = queue, kind, namespace
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
        data = [
            {
                "MetricName": name,
                "Dimensions": [{"Name": "Kind", "Value": self._kind}],
                "Value": float(value),
                "Unit": "Seconds" if name.endswith("Seconds") else "Count",
            }
            for name, value in measures(self._queue.backlog(self._kind)).items()
        ]
        try:
            self._client.put_metric_data(Namespace=self._namespace, MetricData=data)  # type: ignore[attr-defined]
        except (BotoCoreError, ClientError) as exc:
            raise TransientError(f"CloudWatch takes no metrics: {type(exc).__name__}") from exc


def measures(backlog: Backlog) -> dict[str, float]:
    """Name the measures as CloudWatch shows them."""
    return {
        "BacklogPerWorker": backlog.per_worker,
        "QueuedTasks": backlog.queued,
        "OldestWaitingSeconds": backlog.oldest_seconds,
        "FeedLag": backlog.feed_lag,
        "FailedTasks": backlog.failed,
        "QuarantinedTasks": backlog.quarantined,
    }
