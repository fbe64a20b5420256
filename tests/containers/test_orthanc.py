"""The Orthanc image of Debian 13 by itself: TLS both ways, a bucket without the S3 plugin, roles in one image."""

from __future__ import annotations

import json

import pytest
import requests

from demo.servers.process import free_port
from tests.containers.engine import wait_until
from tests.helpers.certificates import Authority
from tests.helpers.orthanc_peers import client_context, forward, receive_by_tls, store, tls_modality
from tests.helpers.slices import make_slice

IMAGE = "research-pacs/orthanc:test"
AUTH = ("deidentifier", "correct-horse-battery")
LOCKED_DOWN = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host",
               "--tmpfs", "/tmp:mode=1777", "--tmpfs", "/var/lib/orthanc/db:mode=0700,uid=10002,gid=10002")  # fmt: skip


@pytest.fixture
def start(compose):
    """Give a function that starts a container with some variables; returns its HTTP and DICOM port."""
    started = []

    def start(**variables: str) -> tuple[int, int]:
        http, dicom = free_port(), free_port()
        given = {
            "RPACS_ORTHANC_ROLE": "source",
            "RPACS_ORTHANC_USERNAME": AUTH[0],
            "RPACS_ORTHANC_PASSWORD": AUTH[1],
            "RPACS_ORTHANC_HTTP_PORT": str(http),
            "RPACS_ORTHANC_DICOM_PORT": str(dicom),
            **variables,
        }
        options = [f"--env={name}={value}" for name, value in given.items()]
        mount = f"{compose.folder}/certificates:/certificates:ro"
        started.append(compose.engine.docker("run", "-d", *LOCKED_DOWN, "-v", mount, *options, IMAGE).strip())

        def ready() -> bool:
            inspected = json.loads(compose.engine.docker("inspect", started[-1]))[0]["State"]
            assert inspected["Running"], compose.engine.docker("logs", started[-1])
            return (
                compose.engine.try_docker("exec", started[-1], "python3", "/opt/research-pacs/ready.py").returncode == 0
            )

        wait_until(ready, "Orthanc", 60)
        return http, dicom

    yield start
    for container in started:
        compose.engine.docker("rm", "--force", container)


def test_version_and_authentication(start):
    http, _ = start()
    assert requests.get(f"http://localhost:{http}/system", timeout=30).status_code == 401
    assert requests.get(f"http://localhost:{http}/system", auth=AUTH, timeout=30).json()["Version"] == "1.12.7"


def test_store_and_forward_by_tls(start, compose):
    authority = Authority(compose.folder / "certificates")
    ours, scanner, receiver = (authority.issue(name) for name in ("orthanc", "scanner", "receiver"))
    with receive_by_tls(receiver) as peer:
        http, dicom = start(
            RPACS_ORTHANC_DICOM_TLS_FOLDER=f"/certificates/{ours.name}",
            RPACS_ORTHANC_MODALITIES="CT1=SCANNER@localhost:104",
            RPACS_ORTHANC_EXTRA_JSON=json.dumps(tls_modality(peer.port)),
        )
        tls = client_context(scanner, authority.trusted)
        assert store(make_slice(1), dicom, "RPACS_SOURCE", calling_aet="SCANNER", tls=tls) == 0
        assert store(make_slice(2), dicom, "RPACS_SOURCE", calling_aet="SCANNER") == -1
        assert store(make_slice(3), dicom, "RPACS_SOURCE", calling_aet="STRANGER", tls=tls) == -1
        forward(f"http://localhost:{http}", AUTH)
        assert peer.arrived.wait(60)


def test_a_bucket_without_the_s3_plugin_does_not_start(compose):
    """Orthanc alone would start, and keep the files where the next container has none."""
    given = ("RPACS_ORTHANC_ROLE=research", f"RPACS_ORTHANC_USERNAME={AUTH[0]}", f"RPACS_ORTHANC_PASSWORD={AUTH[1]}",
             "RPACS_S3_DICOM_BUCKET_NAME=images", "RPACS_S3_DICOM_AWS_REGION=eu-central-1")  # fmt: skip
    answer = compose.engine.try_docker("run", "--rm", *LOCKED_DOWN, *(f"--env={one}" for one in given), IMAGE)
    assert answer.returncode == 2
    assert "libOrthancAwsS3Storage.so" in answer.stderr
