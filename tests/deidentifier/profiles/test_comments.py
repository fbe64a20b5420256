"""Text beside the picture in compressed frames: gone, the picture and all lengths unchanged."""

from __future__ import annotations

import io
from collections.abc import Callable

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import MPEG2MPML

from common.errors import QuarantineError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.profiles.comments import superfluous
from deidentifier.rules_file import load_rules

SECRET = b"Doe^Jane born 1970"
_RULES = """
Labels: []
OnLeak: Report
ScopeToForward: {Labels: ALL}
Transformations:
- Scope: {Labels: ALL}
  Profile: Basic
"""


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def after_start(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def jpeg(data: bytes) -> bytes:
    """Put the text wherever JPEG and JPEG-LS have room for it."""
    thumbnail = b"JFIF\0\1\1\0\0\1\0\1\6\1" + SECRET
    end = data.rindex(b"\xff\xd9")
    inside = segment(0xFE, SECRET) + segment(0xE1, b"Exif\0\0" + SECRET) + segment(0xEE, b"Adobe\0d\0\0\0\0\0" + SECRET)
    return after_start(data[:end], segment(0xE0, thumbnail), inside) + segment(0xFE, SECRET) + b"\xff\xd9" + SECRET


def without_application(data: bytes) -> bytes:
    """As `jpeg`, where an Adobe marker would change the colours."""
    end = data.rindex(b"\xff\xd9")
    return after_start(data[:end], segment(0xFE, SECRET), segment(0xE8, SECRET)) + b"\xff\xd9" + SECRET


def jpeg_2000(data: bytes) -> bytes:
    tile = data.index(b"\xff\x90")
    comment = segment(0x64, b"\0\1" + SECRET)
    size = int.from_bytes(data[tile + 6 : tile + 10], "big")
    longer = (
        data[tile : tile + 6] + ((size + len(comment)) if size else 0).to_bytes(4, "big") + data[tile + 10 : tile + 12]
    )
    return data[:tile] + comment + longer + comment + data[tile + 12 :] + SECRET


def jp2(data: bytes) -> bytes:
    def box(kind: bytes, content: bytes) -> bytes:
        return (len(content) + 8).to_bytes(4, "big") + kind + content

    head = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return head + box(b"xml ", b"<p>" + SECRET + b"</p>") + box(b"jp2c", jpeg_2000(data)) + box(b"uuid", SECRET)


CASES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("SC_rgb_small_odd_jpeg.dcm", jpeg),
    ("JPEG-LL.dcm", jpeg),
    ("MR_small_jpeg_ls_lossless.dcm", without_application),
    ("MR_small_jp2klossless.dcm", jpeg_2000),
    ("examples_jpeg2k.dcm", jpeg_2000),
    ("MR_small_jp2klossless.dcm", jp2),
]


def frame_of(dataset: Dataset) -> bytes:
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def deidentified(dataset: Dataset, more: str = "") -> Dataset:
    out = io.BytesIO()
    dataset.save_as(out)
    rules = load_rules(_RULES + more)
    return pydicom.dcmread(io.BytesIO(Deidentifier(rules, MemoryMappings()).deidentify(out.getvalue()).data))


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize(("name", "put"), CASES)
def test_text_beside_the_picture_goes(name: str, put: Callable[[bytes], bytes], fragments: int) -> None:
    dataset = pydicom.dcmread(get_testdata_file(name))
    frame = frame_of(dataset)
    given = put(frame)
    assert given.count(SECRET) >= 3
    dataset.PixelData = encapsulate([given], fragments_per_frame=fragments)
    result = deidentified(dataset)
    written = frame_of(result)
    assert SECRET not in written
    assert len(written) == len(given) + len(given) % 2
    if put is not jp2:  # pydicom's decoders want no boxes
        assert (result.pixel_array == dataset.pixel_array).all()


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_frames_without_text_stay_byte_for_byte(name: str) -> None:
    dataset = pydicom.dcmread(get_testdata_file(name))
    given = dataset.PixelData
    assert deidentified(dataset).PixelData == given


def test_keep_tags_keeps_the_comments() -> None:
    dataset = pydicom.dcmread(get_testdata_file("JPEG-LL.dcm"))
    dataset.PixelData = encapsulate([without_application(frame_of(dataset))])
    given = dataset.PixelData
    assert deidentified(dataset, "  KeepTags: [{TagPatterns: PixelData}]\n").PixelData == given


def test_video_is_held_back_unless_it_is_kept_on_purpose() -> None:
    dataset = pydicom.dcmread(get_testdata_file("JPEG-LL.dcm"))
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    with pytest.raises(QuarantineError, match="video"):
        deidentified(dataset)
    assert deidentified(dataset, "  KeepTags: [{TagPatterns: PixelData}]\n").PixelData == dataset.PixelData


@pytest.mark.parametrize("name", ["JPEG-LL.dcm", "MR_small_jp2klossless.dcm"])
def test_damaged_frames(name: str) -> None:
    """Cut and flipped anywhere: ranges inside the data, or an instance for the quarantine."""
    frame = frame_of(pydicom.dcmread(get_testdata_file(name)))[:2000]
    for at in range(2, 300):
        damaged = bytearray(frame)
        damaged[at] ^= 0xFF
        for data in (bytes(damaged), frame[:at]):
            try:
                found = superfluous(data)
            except QuarantineError:
                continue
            assert all(0 <= start < end <= len(data) for start, end in found)
