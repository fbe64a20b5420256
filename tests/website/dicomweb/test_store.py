"""STOW-RS: for profiles that say so, and never over what is there."""

from __future__ import annotations

import io

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient

from tests.helpers.research_store import make_instance
from tests.website.dicomweb.conftest import Archive


@pytest.fixture
def archive(make_archive) -> Archive:
    return make_archive({"there": make_instance(1, 1, 1, 1)})


def send(archive: Archive, *parts: bytes, user: str = "full", study: str = "") -> requests.Response:
    body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts) + b"--b--"
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    path = f"{archive.root}/studies" + (f"/{study}" if study else "")
    return archive.session(user, "see", "download", "store").post(path, data=body, headers=headers)


def test_new_instances_are_stored(archive) -> None:
    files = [make_instance(9, 1, 1, number) for number in (1, 2)]
    answer = send(archive, *files)
    assert answer.status_code == 200
    stored = answer.json()["00081199"]["Value"]
    assert len(stored) == 2
    assert stored[0]["00081190"]["Value"][0].startswith(f"{archive.root}/studies/")
    archive.add(new=files[0])  # as the indexer does
    assert archive.client("full").retrieve_instance(*archive.uids("new")).PatientID == "P9"


def test_dicomweb_client_stores(archive) -> None:
    session = archive.session("full", "see", "download", "store")
    client = DICOMwebClient(archive.root, session=session)
    answer = client.store_instances([pydicom.dcmread(io.BytesIO(make_instance(8, 1, 1, 1)))])
    assert len(answer.ReferencedSOPSequence) == 1


def test_what_is_there_is_not_replaced(archive) -> None:
    """Else whoever may store could overwrite what they may not see."""
    other = make_instance(1, 1, 1, 1, ImageComments="forged")
    answer = send(archive, other, make_instance(1, 1, 1, 2))
    assert answer.status_code == 202
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0x0124]
    assert archive.store.orthanc.download(archive.store.ids[0]) == archive.files["there"]


def test_what_is_refused(archive) -> None:
    assert send(archive, b"no DICOM").status_code == 409
    assert send(archive, make_instance(7, 1, 1, 1), study="1.2.3").status_code == 409
    for user in ("ct", "admin"):
        assert send(archive, make_instance(7, 1, 1, 1), user=user).status_code == 403
    broken = archive.session("full", "store").post(
        f"{archive.root}/studies",
        data=b"--b\r\nContent-Type: application/dicom\r\n\r\nbreaks off",
        headers={"Content-Type": "multipart/related; type=application/dicom; boundary=b"},
    )
    assert broken.status_code == 403
    form = archive.session("full", "store").post(f"{archive.root}/studies", data={"a": "b"})
    assert form.status_code == 400
