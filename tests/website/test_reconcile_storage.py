"""Objects that deletions left in the bucket are found, and nothing else is touched."""

import sys
from datetime import UTC, datetime, timedelta
from subprocess import run
from uuid import uuid4

import pytest
import requests

from common.orthanc import Orthanc
from tests.helpers.slices import make_slice
from website.storage_reconciliation import compare, delete

TOMORROW = timedelta(days=1, minutes=5)


@pytest.fixture
def bucket(s3, research_orthanc):
    """Give a bucket as the S3 plugin fills it: an object for each attachment, and what does not belong there."""
    keys = {"known": [], "orphan": []}
    client = Orthanc(research_orthanc.url, *research_orthanc.auth)
    for number in range(1, 5):
        instance = client.upload(make_slice(number)).id
        uuid = client.get_json(f"/instances/{instance}/attachments/dicom/info")["Uuid"]
        keys["known"].append(f"dicom/{uuid}.dcm")
    keys["orphan"] = [f"dicom/{uuid4()}.dcm", f"dicom/{uuid4()}.dcm.enc"]
    keys["foreign"] = ["dicom/README.txt", f"dicom/deeper/{uuid4()}.dcm", f"elsewhere/{uuid4()}.dcm"]
    for key in (key for some in keys.values() for key in some):
        s3.client.put_object(Bucket=s3.name, Key=key, Body=b"x")
    return s3, client, keys


def test_orphans_are_found_and_deleted(bucket):
    s3, orthanc, keys = bucket
    found = compare(s3.client, s3.name, "dicom", orthanc, now=datetime.now(UTC) + TOMORROW)
    assert {stored.key for stored in found.orphans} == set(keys["orphan"])
    assert (found.objects, found.foreign, found.suspicious) == (6, 2, False)
    assert delete(s3.client, s3.name, found.orphans) == 2
    left = {entry["Key"] for entry in s3.client.list_objects_v2(Bucket=s3.name)["Contents"]}
    assert left == {*keys["known"], *keys["foreign"]}


def test_what_is_younger_than_a_day_is_left_alone(bucket):
    s3, orthanc, _ = bucket
    assert compare(s3.client, s3.name, "dicom", orthanc, now=datetime.now(UTC)).orphans == ()


def test_an_empty_orthanc_is_suspicious(bucket, research_orthanc):
    s3, orthanc, keys = bucket
    for patient in orthanc.get_json("/patients"):
        requests.delete(f"{research_orthanc.url}/patients/{patient}", auth=research_orthanc.auth, timeout=30)
    found = compare(s3.client, s3.name, "/dicom/", orthanc, now=datetime.now(UTC) + TOMORROW)
    assert {stored.key for stored in found.orphans} == {*keys["known"], *keys["orphan"]}
    assert found.suspicious


def test_the_command_counts_and_deletes_nothing_unasked(bucket, research_database, research_orthanc, root):
    s3, _, _ = bucket
    environ = {
        "PATH": "/usr/bin:/bin",
        **research_database.environ("rpacs_website"),
        "RPACS_ORTHANC_HOSTNAME": research_orthanc.url,
        "RPACS_ORTHANC_USERNAME": research_orthanc.auth[0],
        "RPACS_ORTHANC_PASSWORD": research_orthanc.auth[1],
        "RPACS_S3_DICOM_BUCKET_NAME": s3.name,
        "RPACS_S3_DICOM_AWS_REGION": "us-east-1",
        "RPACS_S3_DICOM_KEY_PREFIX": "dicom",
        "RPACS_S3_DICOM_ENDPOINT": s3.server.url,
        "RPACS_S3_DICOM_ACCESS_KEY": s3.server.access_key,
        "RPACS_S3_DICOM_SECRET_KEY": s3.server.secret_key,
    }
    command = [sys.executable, "-m", "website", "reconcile-storage"]
    answer = run(command, env=environ, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [
        "0 objects older than a day, 0 of them left over (0 MB)",
        "2 keys are not Orthanc's and were left alone",
    ]
