"""The rule Transcode: the result is sent on in another transfer syntax; what cannot be is quarantined."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from common.errors import QuarantineError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
from demo.samples import sample_paths


def engine(target):
    scope = "{Labels: ALL}"
    text = f"Labels: []\nScopeToForward: {scope}\nTransformations:\n- Scope: {scope}\n  Transcode: {target}\n"
    return Deidentifier(load_rules(text), MemoryMappings())


def read(name):
    return next(path for path in sample_paths() if path.name == name).read_bytes()


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR2_J2KR.dcm", "US1_UNCR.dcm"])
def test_the_result_is_in_the_syntax_and_has_the_pixels(name):
    before = pydicom.dcmread(io.BytesIO(read(name)))
    for target in (ExplicitVRLittleEndian, RLELossless):
        after = pydicom.dcmread(io.BytesIO(engine(target).deidentify(read(name)).data))
        assert after.file_meta.TransferSyntaxUID == target
        assert np.array_equal(before.pixel_array, after.pixel_array)


def test_twice_gives_the_same_bytes():
    data = read("CT_small.dcm")
    assert engine(RLELossless).deidentify(data).data == engine(RLELossless).deidentify(data).data


def test_what_cannot_be_transcoded_is_quarantined():
    with pytest.raises(QuarantineError, match="cannot be transcoded"):
        engine(JPEG2000Lossless).deidentify(read("SC_rgb_small_odd.dcm"))
