"""The backlog in CloudWatch, against moto's server: what an auto scaler that starts from zero acts on."""

import logging
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto.server import ThreadedMotoServer

from common.cloudwatch import CloudWatchMetrics, measures, total
from common.errors import TransientError
from common.tasks import Asked, Result, TaskQueue

NAMESPACE, REGION = "ResearchPACS", "eu-central-1"


@pytest.fixture
def endpoint(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def queue(ingest_database):
    return TaskQueue(ingest_database.login("rpacs_deidentifier"), "ingest")


def ask(queue, *subjects):
    with queue.database.transaction() as cursor:
        queue.enqueue(cursor, "deidentify", [Asked(subject) for subject in subjects])


def test_the_backlog_by_state_and_worker(queue):
    assert set(measures(queue.backlog("deidentify")).values()) == {0}
    ask(queue, *"abcdefgh")
    waiting = measures(queue.backlog("deidentify"))
    assert (waiting["QueuedTasks"], waiting["BacklogPerWorker"]) == (8, 8)  # nobody works: an auto scaler starts one
    assert waiting["OldestWaitingSeconds"] >= 0
    ended = queue.claim("deidentify", "one", 3)
    queue.claim("deidentify", "two", 1)
    states = ("done", "failed", "quarantined")
    queue.exchange([Result(task, state) for task, state in zip(ended, states, strict=True)], "deidentify", "one", 0)
    queue.claim("deidentify", "one", 1)
    backlog = queue.backlog("deidentify")
    assert (backlog.queued, backlog.running, backlog.workers) == (3, 2, 2)
    assert (backlog.failed, backlog.quarantined, backlog.per_worker) == (1, 1, 2.5)
    assert queue.backlog("index").queued == 0


def test_what_is_published(endpoint, queue):
    ask(queue, "a", "b")
    with queue.database.transaction() as cursor:
        cursor.execute("INSERT INTO ingest.feeds (name, position, newest) VALUES ('source', 10, 17)")
    CloudWatchMetrics(queue, ["deidentify"], NAMESPACE, region=REGION, endpoint=endpoint).publish()
    client = boto3.client("cloudwatch", region_name=REGION, endpoint_url=endpoint)
    found = client.get_metric_data(
        MetricDataQueries=[
            {
                "Id": name.lower(),
                "MetricStat": {
                    "Metric": {
                        "Namespace": NAMESPACE,
                        "MetricName": name,
                        "Dimensions": [{"Name": "Kind", "Value": "deidentify"}],
                    },
                    "Period": 60,
                    "Stat": "Maximum",
                },
            }
            for name in measures(queue.backlog("deidentify"))
        ],
        StartTime=datetime.now(UTC) - timedelta(minutes=10),
        EndTime=datetime.now(UTC) + timedelta(minutes=10),
    )
    values = {result["Id"]: result["Values"] for result in found["MetricDataResults"]}
    assert values["queuedtasks"] == [2]
    assert values["backlogperworker"] == [2]
    assert values["feedlag"] == [7]
    assert values["failedtasks"] == values["quarantinedtasks"] == [0]
    assert len(values["oldestwaitingseconds"]) == 1


def test_all_kinds_together_for_the_workers_that_they_share(queue):
    ask(queue, "a", "b")
    with queue.database.transaction() as cursor:
        queue.enqueue(cursor, "submit", [Asked("c")])
    queue.claim("submit", "one", 1)
    together = measures(total([queue.backlog("deidentify"), queue.backlog("submit")]))
    assert (together["QueuedTasks"], together["OpenTasks"], together["BacklogPerWorker"]) == (2, 3, 3)


def test_an_endpoint_that_is_away_is_transient(queue, endpoint):
    with pytest.raises(TransientError, match="CloudWatch"):
        CloudWatchMetrics(queue, ["deidentify"], NAMESPACE, region=REGION, endpoint="http://127.0.0.1:9").publish()
