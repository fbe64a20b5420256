"""Every format in every layout on files of many kinds, held to what Orthanc itself makes of each frame."""

from __future__ import annotations

import io
import json
import tempfile

import numpy as np
import pydicom
import pytest
import requests
from PIL import Image

from common.errors import OrthancUnavailableError
from common.transcoding import transcode_file
from demo.samples import sample_paths
from tests.helpers.research_store import multi_frame
from tests.helpers.slices import make_slice
from tests.website.exports.test_job import manifest_of, verify
from website.exports.choices import SYNTAXES, UIDS
from website.exports.objects import _Stoppable

NAMES = [
    "CT_small.dcm", "ExplVR_BigEnd.dcm", "gdcm-US-ALOKA-16.dcm", "image_dfl.dcm", "MR2_J2KR.dcm", "US1_UNCR.dcm",
    "emri_small.dcm", "693_J2KI.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG-lossy.dcm", "MR_small_RLE.dcm", "rtplan.dcm",
    "test-SR.dcm", "waveform_ecg.dcm", "SC_rgb_small_odd.dcm", "eCT_Supplemental.dcm", "MR2_J2KI.dcm", "RG1_UNCI.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm", "OBXXXX1A_rle_2frame.dcm", "SC_ybr_full_422_uncompressed.dcm", "liver_1frame.dcm",
]  # fmt: skip


@pytest.fixture(scope="module")
def files():
    found = [path.read_bytes() for path in sample_paths() if path.name in NAMES and path.stat().st_size < 3_000_000]
    return [*found, multi_frame()]


@pytest.fixture
def archive(desk, files):
    """Give a desk with the files stored, by Orthanc's identifier."""
    return desk, dict(zip(desk.store(*files), files, strict=True))


def frames_of(data):
    dataset = pydicom.dcmread(io.BytesIO(data))
    return int(dataset.get("NumberOfFrames") or 1), dataset


def by_instance(objects):
    """Return the objects of each instance, in the order of the manifest."""
    found = {}
    for row in manifest_of(objects):
        found.setdefault(row["OrthancInstance"], []).append((row["key"], objects[row["key"]]))
    return found


def image(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("layout", ["flat", "tree"])
def test_files_as_stored_are_orthanc_s_own(archive, layout, research_orthanc):
    desk, files = archive
    done = desk.run(desk.ask(layout=layout, elements="yes"))
    assert (done.state, done.failed) == ("done", 0)
    objects = desk.objects()
    verify(objects)
    found = by_instance(objects)
    assert set(found) == set(files)
    for instance, ((key, data), (beside, elements)) in found.items():
        theirs = requests.get(
            f"{research_orthanc.url}/instances/{instance}/file", auth=research_orthanc.auth, timeout=30
        )
        assert data == theirs.content == files[instance]
        assert key.removesuffix(".dcm") == beside.removesuffix(".json")
        assert json.loads(elements)["0008,0018 SOPInstanceUID"] == frames_of(data)[1].SOPInstanceUID


@pytest.mark.parametrize("layout", ["flat", "tree"])
def test_png_holds_the_stored_values_of_every_frame(archive, layout, research_orthanc):
    desk, files = archive
    done = desk.run(desk.ask(format="png", layout=layout))
    found = by_instance(desk.objects())
    verify(desk.objects())
    assert done.sent + done.failed == len(files)
    compared = 0
    for instance, pictures in found.items():
        count, dataset = frames_of(files[instance])
        assert len(pictures) == count
        for frame, (key, data) in enumerate(pictures):
            assert key.endswith(".png" if count == 1 else f"_{frame}.png")
            shown = image(data)
            if dataset.SamplesPerPixel == 1 and dataset.PhotometricInterpretation != "PALETTE COLOR":
                assert shown.dtype == (np.uint8 if dataset.BitsStored <= 8 else np.uint16)
                own = stored_by_orthanc(research_orthanc, instance, frame, dataset)
                if own is not None:
                    assert np.array_equal(shown, own), key
                    compared += 1
                pixels = dataset.pixel_array if count == 1 else dataset.pixel_array[frame]
                assert np.array_equal(shown, pixels.astype(shown.dtype)), key
    assert compared >= 10
    without_image = {row[1] for row in desk_failures(desk, done)}
    assert without_image <= {"NotFound", "InvalidDicom", "Refused"}


def desk_failures(desk, export):
    from website.exports.items import Items

    return [(row[0], row[6]) for row in Items(desk.services.database, export.id).failures()]


def stored_by_orthanc(server, instance, frame, dataset):
    """Return Orthanc's own picture of the stored values; None where it has none.

    Of single bits it shows black and white, and some transfer syntaxes it cannot decode.
    """
    if dataset.BitsAllocated == 1:
        return None
    kind = (
        "image-uint8" if dataset.BitsStored <= 8 else "image-int16" if dataset.PixelRepresentation else "image-uint16"
    )
    answer = requests.get(
        f"{server.url}/instances/{instance}/frames/{frame}/{kind}",
        auth=server.auth,
        headers={"Accept": "image/png"},
        timeout=30,
    )
    return image(answer.content) if answer.ok else None


@pytest.mark.parametrize("layout", ["flat", "tree"])
@pytest.mark.parametrize("format", ["png-windowed", "jpeg"])
def test_windowed_pictures_look_like_orthanc_s(archive, format, layout, research_orthanc):
    desk, files = archive
    desk.run(desk.ask(format=format, layout=layout))
    objects = desk.objects()
    verify(objects)
    compared = 0
    for instance, pictures in by_instance(objects).items():
        count, dataset = frames_of(files[instance])
        assert len(pictures) == count
        for frame, (key, data) in enumerate(pictures):
            shown = image(data)
            assert shown.dtype == np.uint8
            assert shown.shape[:2] == (dataset.Rows, dataset.Columns)
            assert key.endswith(".jpeg" if format == "jpeg" else ".png")
            rendered = requests.get(
                f"{research_orthanc.url}/instances/{instance}/frames/{frame}/rendered",
                auth=research_orthanc.auth,
                headers={"Accept": "image/png"},
                timeout=30,
            )
            plain = "WindowCenter" in dataset and dataset.SamplesPerPixel == 1
            if rendered.ok and plain and dataset.PhotometricInterpretation == "MONOCHROME2":
                difference = np.abs(shown.astype(int) - image(rendered.content).astype(int))
                assert difference.mean() < 3, key
                compared += 1
    assert compared >= 5


@pytest.mark.parametrize("layout", ["flat", "tree"])
def test_elements_alone(archive, layout):
    desk, files = archive
    assert desk.run(desk.ask(format="json", layout=layout)).failed == 0
    objects = desk.objects()
    verify(objects)
    found = by_instance(objects)
    assert set(found) == set(files)
    for instance, ((key, data),) in found.items():
        assert key == f"{instance}.json" if layout == "flat" else key.endswith(".json")
        assert json.loads(data)["0008,0018 SOPInstanceUID"] == frames_of(files[instance])[1].SOPInstanceUID


def test_an_instance_that_breaks_half_way_leaves_nothing_behind(desk):
    whole = pydicom.dcmread(io.BytesIO(multi_frame()))
    whole.PixelData = whole.PixelData[: len(whole.PixelData) // 2]  # two frames of four
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.99"
    buffer = io.BytesIO()
    whole.save_as(buffer, enforce_file_format=True)
    good, bad = desk.store(multi_frame(), buffer.getvalue())
    done = desk.run(desk.ask(format="png", layout="flat"))
    assert (done.sent, done.failed, done.objects) == (1, 1, 4)
    objects = desk.objects()
    verify(objects)
    assert set(objects) == {f"{good}_{n}.png" for n in range(4)} | {"manifest.csv", "failures.csv", "export.json"}
    assert bad in objects["failures.csv"].decode()


@pytest.mark.parametrize(
    ("syntax", "layout"), [*((syntax, "tree") for syntax in sorted(SYNTAXES)), ("RLELossless", "flat")]
)
def test_transcoded_files_have_the_pixels_and_the_elements(archive, syntax, layout):
    desk, files = archive
    desk.run(desk.ask(format="transcoded", transfer_syntax=syntax, layout=layout))
    objects = desk.objects()
    verify(objects)
    found = by_instance(objects)
    assert len(found) >= len(files) - 4
    for instance, ((_, data),) in found.items():
        before, after = frames_of(files[instance])[1], frames_of(data)[1]
        assert after.file_meta.TransferSyntaxUID == UIDS[syntax]
        assert after.SOPInstanceUID == before.SOPInstanceUID
        if "PixelData" in before:
            assert np.array_equal(before.pixel_array, after.pixel_array)


def test_a_large_instance_goes_in_parts_and_comes_whole(desk):
    """Larger than a part: it is never whole in memory; as a picture or transcoded it lies in a temporary file."""
    dataset = pydicom.dcmread(io.BytesIO(make_slice(1, rows=512)))
    dataset.NumberOfFrames = 40
    rng = np.random.default_rng(1)
    dataset.PixelData = rng.integers(0, 4095, 40 * 512 * 512, dtype="<u2").tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    desk.store(buffer.getvalue())
    assert desk.run(desk.ask(prefix="a", layout="flat")).state == "done"
    objects = desk.objects("a/")
    verify(objects)
    assert buffer.getvalue() in objects.values()
    desk.run(desk.ask(prefix="b", layout="flat", format="transcoded", transfer_syntax="RLELossless"))
    objects = desk.objects("b/")
    verify(objects)
    ((_, data),) = next(iter(by_instance(objects).values()))
    assert np.array_equal(frames_of(data)[1].pixel_array, dataset.pixel_array)


def test_a_large_file_is_given_up_between_two_frames():
    """Whoever cancels does not leave minutes of work behind."""
    asked = []

    def transcode_until(most):
        asked.clear()
        stopping = lambda: len(asked) > most or asked.append(1)  # noqa: E731
        with tempfile.TemporaryFile(buffering=0) as raw, _Stoppable(raw, stopping) as out:
            transcode_file(io.BytesIO(multi_frame()), UIDS["RLELossless"], out)
            out.seek(0)
            return pydicom.dcmread(out).NumberOfFrames

    assert transcode_until(10_000) == 4
    writes = len(asked)
    with pytest.raises(OrthancUnavailableError):
        transcode_until(writes - 2)
