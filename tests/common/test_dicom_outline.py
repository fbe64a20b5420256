"""The outline of a file has the elements that the file has, and is refused where the file is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from pydicom.data import get_testdata_files

from common import dicom_outline
from common.dicom_elements import elements_of
from common.dicom_outline import Outline, outline
from common.dicom_scan import scan
from common.errors import InvalidDicomError
from tests.helpers.slices import make_slice

SAMPLES = sorted({Path(file).name: Path(file) for file in get_testdata_files() if Path(file).is_file()}.items())


@pytest.fixture
def short(monkeypatch):
    """Take values of 16 bytes for long ones: most samples are small."""
    monkeypatch.setattr(dicom_outline, "LONG", 16)


def chunks(data: bytes, seed: int = 1):
    """Cut a file as a network might."""
    sizes, at = random.Random(seed), 0
    while at < len(data):
        size = sizes.choice((1, 7, 100, 5_000))
        yield data[at : at + size]
        at += size


def elements(data: bytes, size: int = 0):
    """Return the elements of a file, None where it is refused."""
    try:
        return elements_of(scan(data, size=size))
    except InvalidDicomError:
        return None


def elements_by_outline(data: bytes):
    try:
        return elements(*outline(chunks(data)))
    except InvalidDicomError:
        return None


@pytest.mark.parametrize("path", [path for _, path in SAMPLES], ids=[name for name, _ in SAMPLES])
def test_an_outline_has_the_elements_of_the_file(path, short):
    data = path.read_bytes()
    assert elements_by_outline(data) == elements(data)


@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "image_dfl.dcm", "ExplVR_BigEnd.dcm", "rtplan.dcm",
                                  "UN_sequence.dcm", "no_meta.dcm", "priv_SQ.dcm"])  # fmt: skip
def test_what_is_cut_off_is_refused_as_the_file_is(name, short):
    data = dict(SAMPLES)[name].read_bytes()
    cuts = random.Random(2).sample(range(1, len(data)), min(150, len(data) - 1))
    for end in cuts:
        assert elements_by_outline(data[:end]) == elements(data[:end]), f"cut at {end}"


def test_what_is_damaged_is_refused_as_the_file_is(short):
    data, draw = bytearray(dict(SAMPLES)["CT_small.dcm"].read_bytes()), random.Random(3)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[draw.randrange(132, 6_000)] = draw.randrange(256)
        assert elements_by_outline(bytes(damaged)) == elements(bytes(damaged))


@pytest.mark.parametrize("after", [b"\0" * 20, b"junk that is no element at all", b"\xfe\xff\x00\xe0\xff\xff\xff\xff"])
def test_bytes_after_the_end_are_no_elements(after, short):
    data = make_slice(rows=32) + after
    assert elements_by_outline(data) == elements(data) == elements(make_slice(rows=32))


def test_memory_does_not_grow_with_the_pixels():
    data = make_slice(rows=32)
    at = data.index(b"\xe0\x7f\x10\x00OW") + 8
    length = 400 << 20

    def stream():
        yield data[:at] + length.to_bytes(4, "little")
        for _ in range(length >> 20):
            yield bytes(1 << 20)

    left = outline(stream())
    assert left.size == at + 4 + length
    assert len(left.data) < 2_000
    assert elements(*left) == elements(data)


def test_an_outline_may_have_as_many_elements_as_its_file():
    """A file of many frames has many elements for what is left of it."""
    empty = b"".join(b"\x09\x10" + number.to_bytes(2, "little") + b"SH\0\0" for number in range(0x1000, 0xF000))
    data = make_slice(rows=32)
    at = data.index(b"\x10\x00\x10\x00PN")
    many = data[:at] + b"".join(empty.replace(b"\x09\x10", bytes([group, 0x10])) for group in (9, 11)) + data[at:]
    with pytest.raises(InvalidDicomError, match="too many elements"):
        scan(many)
    assert elements(many, 200 << 20)


def test_small_files_stay_as_they_are():
    data = make_slice(rows=32)
    assert outline([data]) == Outline(data, len(data))
