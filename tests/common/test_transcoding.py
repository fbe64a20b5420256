"""Transcoding: every source in every target has the same pixels and elements; what cannot be is refused."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from common.errors import QuarantineError
from common.transcoding import TARGETS, transcode, transcode_file
from demo.samples import sample_paths

SOURCES = [
    "CT_small.dcm",  # explicit VR, little endian
    "ExplVR_BigEnd.dcm",
    "gdcm-US-ALOKA-16.dcm",  # implicit VR, palette
    "image_dfl.dcm",  # deflated
    "MR2_J2KR.dcm",  # JPEG 2000 lossless
    "US1_UNCR.dcm",  # colour
    "emri_small.dcm",  # multi-frame
]


def read(name):
    return next(path for path in sample_paths() if path.name == name).read_bytes()


@pytest.mark.parametrize("target", TARGETS, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("name", SOURCES)
def test_the_pixels_stay_and_so_do_the_elements(name, target):
    before = pydicom.dcmread(io.BytesIO(read(name)))
    result = transcode(read(name), target)
    after = pydicom.dcmread(io.BytesIO(result))
    assert after.file_meta.TransferSyntaxUID == target
    assert after.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID == after.SOPInstanceUID
    assert np.array_equal(before.pixel_array, after.pixel_array)
    for element in before:
        kept = element.tag.group not in (0x7FE0, 0xFFFC) and element.tag.element != 0
        if kept and element.VR not in ("OW", "UN", "SQ") and element.keyword != "PlanarConfiguration":
            assert after[element.tag].value == element.value, element.tag


@pytest.mark.parametrize("target", TARGETS, ids=lambda uid: uid.keyword)
def test_twice_gives_the_same_bytes(target):
    data = read("CT_small.dcm")
    assert transcode(data, target) == transcode(data, target)


def test_a_tiny_image_never_ends_the_process():
    """GDCM's encoder does; others refuse, and the instance is quarantined."""
    data = read("SC_rgb_small_odd.dcm")
    before = pydicom.dcmread(io.BytesIO(data)).pixel_array
    after = pydicom.dcmread(io.BytesIO(transcode(data, RLELossless))).pixel_array
    assert np.array_equal(before, after)
    with pytest.raises(QuarantineError, match="cannot be transcoded"):
        transcode(data, JPEG2000Lossless)


def test_damaged_pixels_are_quarantined():
    dataset = pydicom.dcmread(io.BytesIO(read("MR2_J2KR.dcm")))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51 no image"])
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(QuarantineError, match="cannot be transcoded"):
        transcode(buffer.getvalue(), ExplicitVRLittleEndian)


FRAMEWISE = [target for target in TARGETS if not target.is_deflated and target != ExplicitVRBigEndian]


@pytest.mark.parametrize("target", FRAMEWISE, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("name", [*SOURCES, "examples_ybr_color.dcm", "eCT_Supplemental.dcm"])
def test_frame_by_frame_gives_the_same(name, target):
    """A large file, of which one frame is in memory at a time, becomes what a small one becomes."""
    out = io.BytesIO()
    transcode_file(io.BytesIO(read(name)), target, out)
    framewise, whole = (pydicom.dcmread(io.BytesIO(data)) for data in (out.getvalue(), transcode(read(name), target)))
    assert np.array_equal(framewise.pixel_array, whole.pixel_array)
    assert framewise.file_meta.TransferSyntaxUID == target
    left_out = [element for element in whole if element.tag not in framewise]
    assert all(element.tag.group > 0x7FE0 for element in left_out)
    assert framewise.group_dataset(0x0028) == whole.group_dataset(0x0028)
