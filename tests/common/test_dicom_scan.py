"""The scanner finds what pydicom finds, in every sample file."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file, get_testdata_files
from pydicom.dataset import Dataset

from common.dicom_dataset import DataSet
from common.dicom_scan import DEFLATED, scan
from common.errors import InvalidDicomError
from common.tags import parse_tag_path

SAMPLES = sorted({Path(file).name: Path(file) for file in get_testdata_files() if Path(file).is_file()}.items())


def tree(dataset: DataSet) -> list:
    return sorted(
        (head.tag, [tree(item) for item in dataset.items(element)] if head.vr == "SQ" else [])
        for element in dataset.elements
        for head in element[:1]
        if head.tag & 0xFFFF
    )


def tree_of_pydicom(dataset: Dataset) -> list:
    return sorted(
        (int(element.tag), [tree_of_pydicom(item) for item in element.value] if element.VR == "SQ" else [])
        for element in dataset
        if element.tag.element
    )


@pytest.mark.parametrize("path", [path for _, path in SAMPLES], ids=[name for name, _ in SAMPLES])
def test_scan_finds_the_elements_that_pydicom_finds(path):
    try:
        found = scan(path.read_bytes())
        elements = tree(found.dataset)
    except InvalidDicomError:
        found = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = tree_of_pydicom(pydicom.dcmread(path, force=found is not None))
        except Exception:
            return
    if found is None:
        assert "trunc" in path.name or "short" in path.name or path.name in UNREADABLE
        return
    assert elements == expected


# Damaged, though pydicom makes something of them.
UNREADABLE = {"DICOMDIR-nooffset", "meta_missing_tsyntax.dcm"}


@pytest.fixture
def ct():
    return scan(Path(dict(SAMPLES)["CT_small.dcm"]).read_bytes())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("PatientName", ["CompressedSamples^CT1"]),
        ("ImageType", ["ORIGINAL", "PRIMARY", "AXIAL"]),
        ("Rows", ["128"]),
        ("SliceThickness", ["5.0"]),
        ("OtherPatientIDsSequence.PatientID", ["ABCD1234", "1234ABCD"]),
        ("TransferSyntaxUID", ["1.2.840.10008.1.2.1"]),
        ("PixelData", [""]),
        ("PatientAddress", None),
        ("OtherPatientIDsSequence.PatientName", None),
    ],
)
def test_values_are_the_query_language_s(ct, path, expected):
    assert ct.values(parse_tag_path(path)) == expected


HEAD_OF_FILE = bytes(128) + b"DICM" + b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"


@pytest.mark.parametrize(
    "tiny",
    [
        b"\x08\0\x20\0DA\0\0" * 200_000,
        b"\x09\0\x01\x10DA\0\0" * 200_000,
        b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" * 200_000 + b"\xfe\xff\xdd\xe0\0\0\0\0",
        b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 90 + b"\x08\0\x20\0DA\0\0" * 200_000,
    ],
    ids=["elements", "private", "items", "nested"],
)
def test_files_of_tiny_elements_are_refused_before_they_fill_the_memory(tiny):
    with pytest.raises(InvalidDicomError, match="too many elements"):
        scan(HEAD_OF_FILE + tiny)


def test_files_of_the_same_layout_are_told_from_files_that_only_begin_alike():
    def data(*values):
        return HEAD_OF_FILE + b"".join(
            b"\x10\0" + tag.to_bytes(2, "little") + b"LO" + len(value).to_bytes(2, "little") + value
            for tag, value in enumerate(values, 0x10)
        )

    same = [f"value{number:03}".encode() for number in range(24)]
    for _ in range(3):
        assert [scan(data(*same)).values((0x00100000 + tag,)) for tag in (0x10, 0x27)] == [["value000"], ["value023"]]
    other = [*same[:5], b"longer value", *same[6:]]
    found = scan(data(*other))
    assert [found.value(0x00100010 + number) for number in range(24)] == other
    with pytest.raises(InvalidDicomError):
        scan(data(*same)[:-2])


def test_the_file_meta_information_of_a_deflated_file_is_its_own():
    path = get_testdata_file("image_dfl.dcm", download=False)
    scanned = scan(Path(path).read_bytes())
    assert scanned.values((0x00020010,)) == [DEFLATED]
    assert scanned.values((0x00020002,)) == scanned.values((0x00080016,)) == ["1.2.840.10008.5.1.4.1.1.7"]
