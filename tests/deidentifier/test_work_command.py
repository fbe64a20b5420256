"""``python -m deidentifier work`` and ``follow`` as processes, from C-STORE's side to the research Orthanc."""

from __future__ import annotations

import io
import signal

import pydicom
import pytest
import requests

from common.orthanc import Orthanc
from demo.servers.process import free_port, wait_until
from tests.helpers.slices import make_slice


def client(server):
    return Orthanc(server.url, server.username, server.password)


def patient_ids(orthanc):
    files = [orthanc.download(instance) for instance in orthanc.instances(0, 100)]
    return [pydicom.dcmread(io.BytesIO(data)).PatientID for data in files]


def is_idle(process, port):
    assert process.running(), process.tail()
    try:
        return requests.get(f"http://127.0.0.1:{port}/ready", timeout=2).ok
    except requests.RequestException:
        return False


@pytest.mark.parametrize("processes", ["1", "2"])
def test_from_one_orthanc_to_the_other_with_health_readiness_and_metrics(
    run, source_orthanc, research_orthanc, processes
):
    port = free_port()
    process = run("work", "--processes", processes, RPACS_METRICS_PORT=str(port))
    source, research = client(source_orthanc), client(research_orthanc)
    for number in range(5):
        source.upload(make_slice(number))
    wait_until(lambda: research.statistics()["CountInstances"] == 5, "five results")
    wait_until(lambda: source.statistics()["CountInstances"] == 0, "an empty source")
    assert "P1" not in patient_ids(research)
    wait_until(lambda: is_idle(process, port), "readiness")
    assert requests.get(f"http://127.0.0.1:{port}/healthcheck", timeout=2).ok

    def metrics():
        return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text

    wait_until(lambda: 'rpacs_queue_tasks{code="",kind="deidentify",state="done"} 5.0' in metrics(), "metrics")
    assert 'rpacs_tasks_total{code="",kind="deidentify",state="done"}' in metrics()
    assert "rpacs_step_seconds_bucket" in metrics()
    for word in ("Doe", "P1", *research.instances(0, 10)):
        assert word not in process.log.read_text() + metrics()


@pytest.mark.parametrize("command", [("work",), ("work", "--processes", "2"), ("follow",)])
def test_sigterm_ends_it(run, command):
    port = free_port()
    process = run(*command, RPACS_METRICS_PORT=str(port))
    wait_until(lambda: is_idle(process, port), "readiness")
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(20) == 0


def test_readiness_fails_while_a_peer_is_away(run):
    port = free_port()
    process = run("follow", RPACS_METRICS_PORT=str(port), RPACS_SOURCE_ORTHANC_HOSTNAME="http://127.0.0.1:1")
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: _answers(url), "health")
    answer = requests.get(f"{url}/ready", timeout=10)
    assert (answer.status_code, answer.json()["problems"]) == (503, {"source Orthanc": "OrthancUnavailable"})
    assert process.running()


def _answers(url):
    try:
        return requests.get(f"{url}/healthcheck", timeout=2).ok
    except requests.RequestException:
        return False


def test_a_fleet_scaled_to_zero_wakes_on_the_followers_backlog_and_loses_nothing(run, source_orthanc, research_orthanc):
    port = free_port()
    follower = run("follow", RPACS_METRICS_PORT=str(port))
    wait_until(lambda: is_idle(follower, port), "readiness")
    source, research = client(source_orthanc), client(research_orthanc)
    for number in range(3):
        source.upload(make_slice(number))

    def backlog():
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        rows = [line for line in text.splitlines() if line.startswith("rpacs_queue_tasks") and "queued" in line]
        return sum(float(row.split()[-1]) for row in rows)

    wait_until(lambda: backlog() == 3, "a backlog of three")
    run("work", "--no-follow")
    wait_until(lambda: research.statistics()["CountInstances"] == 3, "three results")
    wait_until(lambda: backlog() == 0, "no backlog")


def test_broken_rules_do_not_start_and_a_broken_edit_keeps_the_last_good_ones(
    run, source_orthanc, research_orthanc, ingest_database, tmp_path
):
    rules = tmp_path / "rules.yaml"
    good = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations: []\n"
    rules.write_text("Labels: 7\n")
    broken = run("work", RPACS_DEFAULT_CONFIG_FILE=str(rules))
    assert broken.process.wait(30) == 2
    rules.write_text(good)
    without_model = run("work", RPACS_DEFAULT_CONFIG_FILE=str(rules), RPACS_NER_MODEL=str(tmp_path / "absent"))
    assert without_model.process.wait(30) == 2
    run("work", RPACS_DEFAULT_CONFIG_FILE=str(rules))
    source, research = client(source_orthanc), client(research_orthanc)
    source.upload(make_slice(1))
    wait_until(lambda: research.statistics()["CountInstances"] == 1, "a result")
    compare = "SELECT t.state, r.sha256 = t.rules_sha256 FROM ingest.status_rules r, ingest.tasks t"
    wait_until(lambda: ingest_database.owner.call(compare) == [("done", True)], "the end of the task")


def test_a_parent_that_is_killed_takes_its_children_along(run, tmp_path):
    import psutil

    port = free_port()
    process = run("work", "--processes", "2", RPACS_METRICS_PORT=str(port))
    wait_until(lambda: len(psutil.Process(process.process.pid).children()) == 3, "children")
    children = psutil.Process(process.process.pid).children()
    process.process.kill()
    gone = lambda: not any(child.is_running() and child.status() != "zombie" for child in children)  # noqa: E731
    wait_until(gone, "the children's end")
