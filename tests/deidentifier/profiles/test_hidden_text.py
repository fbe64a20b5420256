"""Text in places that are for numbers, coded terms and units: it goes; numbers, terms and units stay."""

import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ParametricMapStorage

from tests.deidentifier.profiles.test_profile import engine, instance, item, run

OPTIONS = "CleanDescriptors, RetainSafePrivate, RetainLongitudinalModifiedDates"
LUT, WAVEFORM, OFFSETS = 0x00283006, 0x54001010, 0x7FE00001


@pytest.mark.parametrize(
    ("tag", "vr", "text"),
    [
        (LUT, "OW", b"Zorbwinkel, Ada "),
        (LUT, "OW", "Zörbwinkel, Ada".encode()),
        (WAVEFORM, "OW", b"\0\0Zorbwinkel\0\0"),
        (0x00281201, "OW", "Zorbwinkel".encode("utf-16-le")),
        (OFFSETS, "OV", b"Zorbwinkel Ada  "),
        (0x00660016, "OF", b"Zorbwinkel Ada\0\0"),
        (0x00189087, "FD", b"Zorbwinkel Ada  "),
    ],
)
def test_text_in_bytes_goes_and_the_length_stays(tag, vr, text):
    dataset = instance()
    dataset.add_new(tag, vr, [*struct.unpack("<2d", text)] if vr == "FD" else text)
    result = run(engine(OPTIONS), dataset)
    if vr == "FD":
        assert result[tag].value == 0
    else:
        assert result[tag].value == bytes(len(text))


@pytest.mark.parametrize(
    ("tag", "vr", "raw"),
    [
        (LUT, "OW", np.arange(256, dtype="<u2").tobytes()),
        (LUT, "OW", np.arange(64, dtype="u1").tobytes()),
        (WAVEFORM, "OW", struct.pack("<6h", -3, 5, 700, -128, 65, 66)),
        (0x00660016, "OF", struct.pack("<4f", 0, 1.5, 2, 3)),
        (LUT, "OW", bytes(16)),
    ],
)
def test_numbers_in_bytes_stay(tag, vr, raw):
    dataset = instance()
    dataset.add_new(tag, vr, raw)
    assert run(engine(OPTIONS), dataset)[tag].value == raw


@pytest.mark.parametrize(("keyword", "code"), [("FloatPixelData", "f"), ("DoubleFloatPixelData", "d")])
def test_bytes_behind_the_last_pixel_of_a_map_go(keyword, code):
    pixels = struct.pack(f"<4{code}", 1, 2.5, -3, 4)
    dataset = instance(ParametricMapStorage, Rows=2, Columns=2, SamplesPerPixel=1, BitsAllocated=32)
    setattr(dataset, keyword, pixels + b"\xff\xfeAda Zorbwinkel  ")
    assert run(engine(OPTIONS), dataset)[keyword].value == pixels + bytes(18)


def test_text_in_the_numbers_of_a_safe_private_element_goes():
    dataset = instance()
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0E, "FD", [*struct.unpack("<3d", b"Ada Zorbwinkel, Room 12 ")])
    block.add_new(0x0C, "IS", "1000")
    result = run(engine(OPTIONS), dataset)
    assert result[0x0019, 0x100E].value is None
    assert result[0x0019, 0x100C].value == 1000


def test_names_of_files_and_media_go():
    dataset = instance()
    dataset.add_new(0x00041500, "CS", ["ZORBWINK", "ADA"])
    dataset.add_new(0x00041130, "CS", "ZORBWINKEL")
    assert not any(element.tag.group == 4 for element in run(engine(OPTIONS), dataset))


def test_labels_are_cleaned_though_they_are_coded_strings():
    dataset = instance(ContentLabel="LIVER ZORBWINK", GraphicLayerSequence=[item(GraphicLayer="ZORBWINKEL")])
    result = run(engine(OPTIONS), dataset)
    assert result.ContentLabel == "LIVER"
    assert result.GraphicLayerSequence[0].GraphicLayer == "REMOVED"


@pytest.mark.parametrize(("written", "kept"), [("KIM", "REMOVED"), ("CHEST", "CHEST"), ("TSPINE", "TSPINE")])
def test_a_name_in_the_body_part_goes(written, kept):
    result = run(engine(OPTIONS), instance(PatientName="Kim^Lee", BodyPartExamined=written))
    assert result.BodyPartExamined == kept


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("QZ0001", ""),
        ("QARK_0001", ""),
        ("ZORB123", ""),
        ("Ärztin Zorb", ""),
        ("HEAD 20200131", "HEAD"),
        ("DIS2D", "DIS2D"),
        ("CT_SOM7 SPI DUAL", "CT_SOM7 SPI DUAL"),
        ("MONO_140KEV", "MONO_140KEV"),
        ("M_FFE", "M_FFE"),
        ("0011", "0011"),
    ],
)
def test_a_coded_string_has_no_long_numbers(written, kept):
    dataset = instance(SpecificCharacterSet="ISO_IR 192", ImageType=["ORIGINAL", "PRIMARY", "AXIAL", written])
    assert run(engine(OPTIONS), dataset).ImageType == ["ORIGINAL", "PRIMARY", "AXIAL", kept]


def test_methods_of_compression_have_long_numbers():
    names = ["ISO_10918_1", "ISO_15444_15"]
    result = run(engine(OPTIONS), instance(LossyImageCompressionMethod=names))
    assert result.LossyImageCompressionMethod == names


@pytest.mark.parametrize(
    ("scheme", "value", "stays"),
    [
        ("UCUM", "mm", True),
        ("UCUM", "10-6.mm2/s", True),
        ("UCUM", "g/ml{SUVbw}", True),
        ("UCUM", "mm[Hg]", True),
        ("UCUM", "[hnsf'U]", True),
        ("UCUM", "kBq/ml", True),
        ("UCUM", "Zorbwinkel", False),
        ("DCM", "MR", True),
        ("DCM", "RTSTRUCT", True),
        ("DCM", "113100", True),
        ("DCM", "ZORBWINKEL", False),
    ],
)
def test_codes_have_the_shape_of_their_scheme(scheme, value, stays):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, "Finding"
    result = run(engine(OPTIONS), instance(ProcedureCodeSequence=[code], MeasurementUnitsCodeSequence=[code]))
    assert (result.MeasurementUnitsCodeSequence[0].CodeValue == value) is stays
