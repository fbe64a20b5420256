"""dicomweb-client (PyPI) against the portal: permitted and forbidden objects, and every state of a token."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.pixels import pixel_array
from requests import HTTPError

from tests.helpers.research_store import make_instance, multi_frame, sample
from tests.website.dicomweb.conftest import Archive

FILES = {
    "slice 1": lambda: make_instance(1, 1, 1, 1),
    "slice 2": lambda: make_instance(1, 1, 1, 2),
    "slice 3": lambda: make_instance(1, 1, 1, 3),
    "other series": lambda: make_instance(1, 1, 2, 1, Modality="MR"),
    "prior": lambda: make_instance(1, 2, 1, 1, Modality="MR", StudyDescription="Prior knee"),
    # The forbidden one first: the base of its series in the index is then its own.
    "mixed mr": lambda: make_instance(2, 4, 1, 1, StudyDescription="Secret", Modality="MR"),
    "mixed ct": lambda: make_instance(2, 4, 1, 2, StudyDescription="Mixed"),
    "cine": multi_frame,
    "jpeg 2000": lambda: sample("JPEG2000.dcm"),
}


@pytest.fixture
def archive(make_archive) -> Archive:
    return make_archive({name: make() for name, make in FILES.items()})


def _status(call, *arguments) -> int:
    try:
        found = call(*arguments)
        list(found) if isinstance(found, Iterator) else found
    except HTTPError as exc:
        return exc.response.status_code
    return 200


def _values(rows: list[dict], tag: str) -> list:
    return [value for row in rows for value in row.get(tag, {}).get("Value", [])]


def test_what_is_permitted_comes_whole(archive) -> None:
    client = archive.client("ct")
    study, series, uid = archive.uids("slice 1")
    assert sorted(_values(client.search_for_studies(), "00081030")) == []  # not asked for
    found = client.search_for_studies(fields=["StudyDescription"])
    assert sorted(_values(found, "00081030")) == ["Chest", "Cine", "Mixed"]
    assert len(client.search_for_series(study)) == 1
    assert len(client.search_for_instances(study, series)) == 3
    stored = {data for name, data in archive.files.items() if name.startswith("slice")}
    assert {_bytes(each) for each in client.retrieve_series(study, series)} == {_bytes(_read(data)) for data in stored}
    whole = client.retrieve_instance(study, series, uid)
    assert _bytes(whole) == _bytes(archive.datasets["slice 1"])
    (frame,) = client.retrieve_instance_frames(study, series, uid, [1])
    assert frame == archive.datasets["slice 1"].PixelData
    metadata = client.retrieve_instance_metadata(study, series, uid)
    (bulk,) = client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])
    assert bulk == archive.datasets["slice 1"].PixelData


def _read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def _bytes(dataset: pydicom.Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def test_metadata_is_that_of_the_file(archive) -> None:
    client = archive.client("full")
    for name in ("slice 2", "cine", "jpeg 2000"):
        metadata = client.retrieve_instance_metadata(*archive.uids(name))
        for element in archive.datasets[name]:
            tag = f"{element.tag:08X}"
            if element.VR in ("OB", "OW", "UN", "SQ", "PN") or element.is_private or tag == "00080005":
                continue
            given = metadata[tag].get("Value", [])
            wanted = element.value if element.VM > 1 else [element.value] if element.value not in (None, "") else []
            assert [str(each) for each in given] == [str(each) for each in _numbers(element.VR, wanted)], (name, tag)


def _numbers(vr: str, values) -> list:
    if vr == "DS":
        return [int(value) if float(value).is_integer() else float(value) for value in values]
    return [f"{value:08X}" if vr == "AT" else value for value in values]


@pytest.mark.parametrize("name", ["other series", "prior", "mixed mr"])
def test_what_is_forbidden_is_not_there(archive, name) -> None:
    """The same calls with UIDs that nobody has: the same answers."""
    client = archive.client("ct")
    study, series, uid = archive.uids(name)
    for uids in ((study, series, uid), (study, series, "1.2.3"), ("1.2.3", "1.2.4", "1.2.5")):
        assert _status(client.retrieve_instance, *uids) == 404
        assert _status(client.retrieve_instance_metadata, *uids) == 404
        assert _status(client.retrieve_instance_frames, *uids, [1]) == 404
        assert _status(client.retrieve_instance_rendered, *uids) == 404
        assert _status(client.retrieve_bulkdata, f"{archive.root}{_path(*uids)}/bulk/7fe00010") == 404
    assert client.search_for_instances(search_filters={"SOPInstanceUID": uid}) == []


def _path(study: str, series: str, uid: str) -> str:
    return f"/studies/{study}/series/{series}/instances/{uid}"


def test_a_series_is_what_is_permitted_of_it(archive) -> None:
    """The forbidden instance comes first and says other things: nothing of it is in any answer."""
    client = archive.client("ct")
    study, series, _ = archive.uids("mixed ct")
    hidden = str(archive.datasets["mixed mr"].SOPInstanceUID)
    (row,) = client.search_for_studies(search_filters={"StudyInstanceUID": study}, fields=["all"])
    assert row["00081030"]["Value"] == ["Mixed"]
    assert (row["00201206"]["Value"], row["00201208"]["Value"]) == ([1], [1])
    assert row["00080061"]["Value"] == ["CT"]
    (row,) = client.search_for_series(study, fields=["all"])
    assert (row["00080060"]["Value"], row["00201209"]["Value"]) == (["CT"], [1])
    answers = [client.retrieve_series_metadata(study, series), client.retrieve_study_metadata(study)]
    assert [len(each) for each in answers] == [1, 1]
    assert len(client.retrieve_series(study, series)) == len(client.retrieve_study(study)) == 1
    everything = archive.session("ct").get(f"{archive.root}/studies/{study}/instances?includefield=all").text
    assert hidden not in everything
    assert "Secret" not in everything
    full = archive.client("full").search_for_studies(search_filters={"StudyInstanceUID": study})
    assert full[0]["00080061"]["Value"] == ["CT", "MR"]
    assert full[0]["00201208"]["Value"] == [2]


def test_pages_show_nothing_of_the_base_either(archive) -> None:
    """Search results and tables show the values of an instance that matches, not of the first of its series."""
    columns = "columns=StudyDescription,Modality"
    paths = [f"/search?level={level}" for level in ("study", "series", "instance")]
    paths += [f"/search.csv?level={level}&{columns}" for level in ("study", "series", "instance")]
    for path in paths:
        assert "Secret" not in archive.portal.client("ct").get(path).text, path
        shown = path != "/search?level=instance"  # that page has no column for it
        assert ("Secret" in archive.portal.client("full").get(path).text) is shown, path


def test_priors_are_those_permitted(archive) -> None:
    """How OHIF asks for other studies of the patient."""
    query = {"00100020": "P1", "limit": "101", "offset": "0", "fuzzymatching": "false"}
    for user, count in (("ct", 1), ("full", 2)):
        assert len(archive.session(user).get(f"{archive.root}/studies", params=query).json()) == count


def test_frames_of_every_kind(archive) -> None:
    client = archive.client("full")
    frames = client.retrieve_instance_frames(*archive.uids("cine"), [4, 2])
    assert [frame[:2] for frame in frames] == [b"\xfa\x00", b"\x5a\x00"]
    assert _status(client.retrieve_instance_frames, *archive.uids("cine"), [5]) == 404
    session, path = archive.session("full"), archive.root + archive.path("jpeg 2000") + "/frames/1"
    stored = session.get(path, headers={"Accept": 'multipart/related; type="image/jp2"'})
    assert b"Content-Type: image/jp2; transfer-syntax=1.2.840.10008.1.2.4.91\r\n" in stored.content[:300]
    plain = session.get(path, headers={"Accept": "multipart/related; type=application/octet-stream"})
    pixels = plain.content.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
    wanted = pixel_array(archive.datasets["jpeg 2000"], raw=True)
    assert np.array_equal(np.frombuffer(pixels, dtype="<i2" if wanted.dtype.kind == "i" else "<u2"), wanted.ravel())
    assert session.get(path, headers={"Accept": 'multipart/related; type="image/jls"'}).status_code == 406


def test_files_in_another_syntax(archive) -> None:
    session, path = archive.session("full"), archive.root + archive.path("jpeg 2000")
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'
    body = session.get(path, headers={"Accept": accept}).content
    dataset = _read(body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0])
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert np.array_equal(dataset.pixel_array, archive.datasets["jpeg 2000"].pixel_array)
    alone = session.get(path, headers={"Accept": "application/dicom"})
    assert alone.content == archive.files["jpeg 2000"]
    zipped = session.get(archive.root + archive.path("slice 1", "study"), headers={"Accept": "application/zip"})
    assert zipped.content.startswith(b"PK")
    other = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.80'}
    assert session.get(path, headers=other).status_code == 406


def test_rendered(archive) -> None:
    session, path = archive.session("full"), archive.root + archive.path("cine")
    picture = session.get(path + "/frames/3/rendered", headers={"Accept": "image/png"})
    assert picture.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).getpixel((5, 5)) == 170
    windowed = session.get(path + "/frames/3/rendered?window=170,400&viewport=32,32", headers={"Accept": "image/png"})
    shown = Image.open(io.BytesIO(windowed.content))
    assert (shown.size, shown.getpixel((5, 5))) == ((32, 32), 128)
    assert session.get(path + "/rendered?window=x").status_code == 400
    assert session.get(path + "/rendered", headers={"Accept": "video/mp4"}).status_code == 406
    for level in ("study", "series", "instance"):
        assert session.get(archive.root + archive.path("cine", level) + "/thumbnail").content[:2] == b"\xff\xd8"
    several = session.get(archive.root + archive.path("slice 1", "series") + "/rendered")
    assert several.content.count(b"Content-Type: image/jpeg") == 3


def test_tokens(archive) -> None:
    study, series, uid = archive.uids("slice 1")
    assert _status(archive.client("ct", "see").retrieve_instance, study, series, uid) == 403
    assert _status(archive.client("viewer", "see").search_for_studies) == 403
    secret = archive.token("ct")
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {secret}"
    client = DICOMwebClient(archive.root, session=session)
    assert _status(client.retrieve_instance_frames, study, series, uid, [1]) == 200
    services = archive.portal.services
    services.tokens.revoke(services.tokens.list("ct")[0].id)
    assert _status(client.retrieve_instance_frames, study, series, uid, [1]) == 401
    session.headers["Authorization"] = f"Bearer {archive.token('ct', lifetime=timedelta(seconds=-1))}"
    assert _status(client.search_for_studies) == 401
    session.headers["Authorization"] = f"Bearer {archive.token('ct')}"
    assert _status(client.search_for_studies) == 200
    services.users.disable("ct", by="admin")
    assert _status(client.retrieve_study_metadata, study) == 401


def test_groups_that_lapsed(archive) -> None:
    """Local accounts are asked each time; where nobody can be asked, the last login has to be recent."""
    client = archive.client("ct")
    archive.portal.services.users._directory = None
    assert _status(client.search_for_studies) == 200
    with archive.portal.database.owner.transaction() as cursor:
        cursor.execute("UPDATE research.users SET verified_at = now() - interval '25 hours'")
    assert _status(client.search_for_studies) == 401


def test_nobody_is_sent_to_a_login_page(archive) -> None:
    for path in ("/studies", archive.path("slice 1"), archive.path("slice 1") + "/frames/1"):
        answer = requests.get(archive.root + path, headers={"Accept": "text/html"}, allow_redirects=False)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_narrower_permission_takes_effect_at_once(archive) -> None:
    client = archive.client("ct")
    assert _status(client.retrieve_instance, *archive.uids("slice 1")) == 200
    file = Path(archive.portal.services.settings.permissions_file)
    file.write_text(file.read_text().replace("Modality StrEquals CT}", "Modality StrEquals XX}"))
    archive.portal.services.permissions._checked = float("-inf")
    assert _status(client.retrieve_instance, *archive.uids("slice 1")) == 404


def test_urls_are_the_portals_own(archive, research_orthanc) -> None:
    session = archive.session("full")
    study, series, _ = archive.uids("slice 1")
    paths = ("/studies", "/series", "/instances", f"/studies/{study}/metadata", f"/studies/{study}/series/{series}")
    for path in (*paths, archive.path("slice 1") + "/frames/1", archive.path("slice 1") + "/bulk/7fe00010"):
        answer = session.get(archive.root + path)
        assert answer.status_code == 200
        for secret in (str(research_orthanc.http_port), "portal.invalid"):
            assert secret.encode() not in answer.content
            assert secret not in str(answer.headers)
    for uri in _values(session.get(f"{archive.root}/studies").json(), "00081190"):
        assert uri.startswith(f"{archive.root}/studies/")


def test_validators(archive) -> None:
    session = archive.session("full")
    for path in ("/metadata", "/frames/1", "/rendered"):
        first = session.get(archive.root + archive.path("slice 1") + path)
        again = {"If-None-Match": first.headers["ETag"]}
        assert session.get(archive.root + archive.path("slice 1") + path, headers=again).status_code == 304
    archive.store.add(make_instance(1, 1, 1, 1, ImageComments="replaced"))
    archive.portal.services.dicomweb.finder._kept.clear()
    changed = session.get(archive.root + archive.path("slice 1") + "/metadata", headers=again)
    assert changed.status_code == 200
