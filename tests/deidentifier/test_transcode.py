"""Transcode: every source in every target has the same pixels and elements; what cannot be is quarantined."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from common.errors import QuarantineError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
from demo.samples import sample_paths

TARGETS = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
]
SOURCES = [
    "CT_small.dcm",  # explicit VR, little endian
    "ExplVR_BigEnd.dcm",
    "gdcm-US-ALOKA-16.dcm",  # implicit VR, palette
    "image_dfl.dcm",  # deflated
    "MR2_J2KR.dcm",  # JPEG 2000 lossless
    "US1_UNCR.dcm",  # colour
    "emri_small.dcm",  # multi-frame
]


def engine(target):
    scope = "{Labels: ALL}"
    text = f"Labels: []\nScopeToForward: {scope}\nTransformations:\n- Scope: {scope}\n  Transcode: {target}\n"
    return Deidentifier(load_rules(text), MemoryMappings())


def read(name):
    return next(path for path in sample_paths() if path.name == name).read_bytes()


@pytest.mark.parametrize("target", TARGETS, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("name", SOURCES)
def test_the_pixels_stay_and_so_do_the_elements(name, target):
    before = pydicom.dcmread(io.BytesIO(read(name)))
    result = engine(target).deidentify(read(name)).data
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
    assert engine(target).deidentify(data).data == engine(target).deidentify(data).data


def test_a_tiny_image_never_ends_the_process():
    """GDCM's encoder does; others refuse, and the instance is quarantined."""
    data = read("SC_rgb_small_odd.dcm")
    before = pydicom.dcmread(io.BytesIO(data)).pixel_array
    after = pydicom.dcmread(io.BytesIO(engine(RLELossless).deidentify(data).data)).pixel_array
    assert np.array_equal(before, after)
    with pytest.raises(QuarantineError, match="cannot be transcoded"):
        engine(JPEG2000Lossless).deidentify(data)


def test_damaged_pixels_are_quarantined():
    dataset = pydicom.dcmread(io.BytesIO(read("MR2_J2KR.dcm")))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51 no image"])
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(QuarantineError, match="cannot be transcoded"):
        engine(ExplicitVRLittleEndian).deidentify(buffer.getvalue())
