"""PostgreSQL is away for a whole minute while instances arrive and are in work."""

import time

import pytest

from demo.servers.pipeline import PipelineServers
from demo.servers.process import wait_until
from tests.helpers.slices import make_slice
from website.index.index import Index

MINUTE = 60.0
BEFORE, DURING = 40, 40


@pytest.fixture
def servers(tmp_path):
    servers = PipelineServers(tmp_path)
    yield servers
    servers.stop()


def test_a_minute_without_postgresql_loses_nothing_and_needs_nobody(servers):
    source, research = servers.client(servers.source), servers.client(servers.research)
    for number in range(BEFORE):
        source.upload(make_slice(number, patient="A"))
    started = [servers.start("de-identifier", "deidentifier", "work"), servers.start("workers", "website", "work")]
    wait_until(lambda: research.count_instances() >= 1, "the first results", seconds=120)
    servers.owner.close()
    servers.postgresql.stop(kill=True)
    gone = time.monotonic()
    for number in range(DURING):
        source.upload(make_slice(number, patient="B"))
    wait_until(lambda: time.monotonic() - gone >= MINUTE, "a minute to pass", seconds=2 * MINUTE, every=1)
    servers.postgresql.restart()
    everything = BEFORE + DURING
    wait_until(lambda: research.count_instances() == everything, "the results", seconds=240)
    wait_until(lambda: source.count_instances() == 0, "the originals' deletion", seconds=240)
    wait_until(lambda: Index(servers.owner).count_instances() == everything, "the index", seconds=120)
    assert all(server.process is not None and server.process.poll() is None for server in started)
    # A task ends a moment after its original is deleted, so the last ones may still be at it.
    wait_until(lambda: tasks_by_state(servers) == [("done", everything, 0, 0)], "every task's end", seconds=60)


def tasks_by_state(servers: PipelineServers) -> list[tuple[str, int, int, int]]:
    """What became of the tasks: (state, number of tasks, most attempts, most losses)."""
    with servers.owner.transaction() as cursor:
        cursor.execute("SELECT state, count(*), max(attempts), max(losses) FROM ingest.tasks GROUP BY state")
        return cursor.fetchall()
