"""What a deployment goes through: exports, processes that are killed while data flows, scaling, restarts, one side."""

from __future__ import annotations

import json
import os
import signal
import threading

import boto3
import pytest
from botocore.config import Config

from tests.containers.engine import wait_until
from tests.containers.images import DEBIAN
from tests.containers.platform import INGEST_SIDE, RESEARCH_SIDE, ROOT, Compose, find
from tests.containers.test_smoke import send
from tests.helpers.slices import make_slice

EXPORTS = "research-pacs-exports"
MAKE_MODEL = """
import spacy
pipeline = spacy.blank("en")
pipeline.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Weatherby"}])
pipeline.to_disk("/made/ner")
"""


def uids(compose: Compose, series: int) -> set[str]:
    """Return the SOP Instance UIDs that the portal finds in the series of a number."""
    rows = find(compose.log_in(), compose.url, f"SeriesNumber NbEquals {series}")
    found = [str(row["SOPInstanceUID"]) for row in rows]
    assert len(found) == len(set(found))
    return set(found)


def test_an_export_arrives_in_the_s3_server(platform):
    slices = [make_slice(number, patient="EXPORT", series=701) for number in range(1, 6)]
    assert send(platform, slices) == [0] * 5
    wait_until(lambda: len(uids(platform, 701)) == 5, "the series", 90)
    keys = {f"{name}_key": (platform.folder / f"secrets/s3/s3_{name}_key").read_text() for name in ("access", "secret")}
    command = ["python3", "-m", "website", "export", "SeriesNumber NbEquals 701", "--user", "rita", "--bucket", EXPORTS]
    command += ["--prefix", "sent", "--endpoint", "http://s3:7070", "--keys"]
    answer = platform.engine.docker(
        "exec", "-i", platform.containers("workers")[0], *command, given=json.dumps(keys), timeout=180
    )
    assert "done: 5 of 5 instances" in answer
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{platform.address('s3', 'research')}:7070",
        region_name="us-east-1",
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    listed = client.list_objects_v2(Bucket=EXPORTS, Prefix="sent/")["Contents"]
    assert len([entry for entry in listed if entry["Key"].endswith(".dcm")]) == 5


def test_the_way_back_and_a_withdrawn_consent(platform):
    slices = [make_slice(number, patient="WITHDRAWN", series=703) for number in (1, 2)]
    assert send(platform, slices) == [0, 0]
    wait_until(lambda: len(uids(platform, 703)) == 2, "the series", 90)
    pseudonym = str(find(platform.log_in(), platform.url, "SeriesNumber NbEquals 703")[0]["PatientID"])
    found = platform("run", "--rm", "-T", "reidentify", pseudonym, "--reason", "board no. 7")
    assert "WITHDRAWN" in found
    patients = platform.folder / "config" / "ingest" / "patients.txt"
    patients.write_text("WITHDRAWN\n")
    patients.chmod(0o644)
    command = ("withdraw", "--patients", "/config/patients.txt", "--output", "/config/uids.txt")
    said = platform("run", "--rm", "-T", "administer", *command, timeout=180)
    assert "1 patients withdrawn, 2 instances deleted" in said
    assert len((platform.folder / "config" / "ingest" / "uids.txt").read_text().splitlines()) == 3
    wait_until(lambda: not uids(platform, 703), "the index to forget", 120)
    assert send(platform, slices[:1]) == [0]
    discarded = "SELECT count(*) FROM ingest.tasks WHERE state = 'discarded'"
    wait_until(lambda: platform.sql(discarded) != "0", "the refusal of what comes again", 90)
    assert not uids(platform, 703)


def crash(compose: Compose, container: str) -> None:
    """Kill a container's first process as the kernel would: Docker takes it for a crash and starts it again."""
    state = json.loads(compose.engine.docker("inspect", container))[0]["State"]
    if state["Pid"]:
        os.kill(state["Pid"], signal.SIGKILL)


def test_nothing_is_lost_when_processes_are_killed_and_replaced(platform):
    platform("up", "-d", "--no-build", "--scale", "deidentifier=4")
    wait_until(lambda: len(platform.containers("deidentifier")) == 4, "four de-identifiers", 60)
    slices = [make_slice(number, patient="KILL", series=702) for number in range(1, 301)]
    statuses: list[int] = []
    sender = threading.Thread(target=lambda: statuses.extend(send(platform, slices)))
    sender.start()
    for service in ("deidentifier", "follower", "workers", "portal", "deidentifier"):
        for container in platform.containers(service)[:2]:
            crash(platform, container)
    # Replaced by a new one, as an upgrade does.
    platform("rm", "--stop", "--force", "workers")
    platform("up", "-d", "--no-build", "--scale", "deidentifier=4")
    sender.join(180)
    assert statuses == [0] * len(slices)
    wait_until(lambda: platform.healthy("portal", "workers", "deidentifier"), "what was killed", 180)
    wait_until(lambda: len(uids(platform, 702)) == len(slices), "all slices", 240)
    open_tasks = "SELECT count(*) FROM ingest.tasks WHERE state IN ('queued', 'running', 'failed', 'quarantined')"
    wait_until(lambda: platform.sql(open_tasks) == "0", "the tasks to be done", 180)
    assert len(uids(platform, 702)) == len(slices)
    names = [platform.engine.docker("exec", one, "cat", "/etc/hostname") for one in platform.containers("deidentifier")]
    assert len(set(names)) == 4


def test_everything_is_found_again_after_a_restart(platform):
    before = {row["SOPInstanceUID"] for row in find(platform.log_in(), platform.url)}
    assert len(before) >= 305
    platform("down", "--timeout", "30")
    platform.up()
    assert {row["SOPInstanceUID"] for row in find(platform.log_in(), platform.url)} == before
    states = platform.sql("SELECT DISTINCT state FROM ingest.tasks ORDER BY 1").split()
    assert "failed" not in states
    assert "quarantined" not in states


@pytest.mark.parametrize(("profile", "own"), [("portal-only", RESEARCH_SIDE), ("ingest-only", INGEST_SIDE)])
def test_each_side_starts_alone(platform, tmp_path, profile, own):
    alone = Compose(platform.engine, tmp_path, f"rpacs-{profile}")
    alone.write_env({"COMPOSE_PROFILES": profile, "RPACS_DESTINATION_ORTHANC_HOSTNAME": "https://localhost:1"})
    alone.make_secrets()
    try:
        alone.up(services=("postgresql", *own))
        others = set(RESEARCH_SIDE + INGEST_SIDE) - set(own)
        assert not [service for service in others if alone.containers(service)]
    finally:
        alone.down()


def test_an_image_finds_names_with_a_model_of_the_sites_own(compose, tmp_path):
    """NER=spacy: the layer has all that spaCy needs, and a model in the mounted folder is the one that runs."""
    arguments = ("--network", "host", "--build-arg", f"BASE={DEBIAN}", "--build-arg", "OCR=none")
    built = (
        "build",
        *arguments,
        "--build-arg",
        "NER=spacy",
        "-f",
        "deidentifier/Dockerfile",
        "-t",
        "research-pacs/ner",
    )
    compose.engine.docker(*built, str(ROOT), timeout=900)
    mounted = ("-v", f"{tmp_path}:/made")
    as_root = ("run", "--rm", "-i", "--user", "0", "--entrypoint", "python3", *mounted, "research-pacs/ner", "-")
    compose.engine.docker(*as_root, given=MAKE_MODEL)
    tmp_path.chmod(0o755)
    hardened = ("--rm", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp", "-e", "RPACS_NER_MODEL=/made/ner")
    said = compose.engine.docker("run", *hardened, *mounted, "research-pacs/ner", "statement")
    assert ": PERSON, as found by the model en_pipeline 0.0.0" in said
