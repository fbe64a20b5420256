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
from deidentifier.profiles.run_lengths import superfluous_in_rle
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


# ----------------------------------------------------------------------------------------------------------------- RLE
SEGMENTS = {"MR_small_RLE.dcm": 2, "SC_rgb_rle.dcm": 3, "SC_rgb_rle_32bit.dcm": 12, "emri_small_RLE.dcm": 2}


def encoded(planes: list[bytes], *, before: bytes = b"", unused: bytes = b"", after: bytes = b"") -> bytes:
    """Return a frame of RLE whose segments are literal runs, with something before, in and after each."""
    body, offsets = before, []
    for plane in planes:
        runs = b"".join(
            bytes((len(plane[at : at + 128]) - 1,)) + plane[at : at + 128] for at in range(0, len(plane), 128)
        )
        offsets.append(64 + len(body))
        body += runs + after
    header = len(planes).to_bytes(4, "little") + b"".join(each.to_bytes(4, "little") for each in offsets)
    return (header + unused).ljust(64, b"\0") + body


def gray(frames: list[bytes], rows: int = 16, columns: int = 20) -> Dataset:
    dataset = pydicom.dcmread(get_testdata_file("MR_small_RLE.dcm"))
    dataset.Rows, dataset.Columns = rows, columns
    dataset.PixelData = encapsulate(frames)
    return dataset


PLANES = [bytes(number % 251 for number in range(320)), bytes(range(255, 95, -1)) * 2]


def test_text_between_the_segments_of_rle_goes() -> None:
    clean = gray([encoded(PLANES, after=bytes(len(SECRET)), before=bytes(len(SECRET)))])
    given = encoded(PLANES, before=SECRET, unused=SECRET, after=SECRET)
    dataset = gray([given])
    assert given.count(SECRET) == 4
    result = deidentified(dataset)
    assert SECRET not in result.PixelData
    assert result.PixelData == clean.PixelData
    with pytest.warns(UserWarning, match="padding"):
        assert (result.pixel_array == clean.pixel_array).all()


def test_text_in_a_run_that_is_longer_than_the_picture_goes() -> None:
    planes = [PLANES[0] + SECRET, PLANES[1] + SECRET]
    result = deidentified(gray([encoded(planes)]))
    assert frame_of(result).rstrip(b"\0") == encoded([plane[:320] + bytes(len(SECRET)) for plane in planes]).rstrip(
        b"\0"
    )


def test_runs_of_every_kind_are_walked_over() -> None:
    # Nothing; 128 times 7; nothing; a literal of 1; 127 times 9; 64 times 3: 320 pixels of one byte.
    runs = bytes((128, 129, 7, 128, 0, 5, 130, 9, 193, 3))
    data = encoded([b""] * 2).replace(b"\x40\0\0\0" * 2, b"\x40\0\0\0\x4a\0\0\0") + runs + runs
    numbers = {0x00280010: 16, 0x00280011: 20, 0x00280100: 16}
    found = [(start, end) for start, end in superfluous_in_rle(data, numbers) if end - start and start >= 64]
    assert found == []
    found = [*superfluous_in_rle(data + b"\0" + SECRET, numbers)]
    assert found[-1] == (len(data), len(data) + 1 + len(SECRET))


@pytest.mark.parametrize("name", sorted(SEGMENTS))
def test_frames_of_rle_stay_byte_for_byte(name: str) -> None:
    dataset = pydicom.dcmread(get_testdata_file(name))
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    assert frame_of(dataset)[0] == SEGMENTS[name]
    given = dataset.PixelData
    assert deidentified(dataset).PixelData == given


@pytest.mark.parametrize(
    "frame", [b"Doe^Jane", encoded(PLANES[:1]), encoded(PLANES)[:60], encoded([*PLANES, PLANES[0]]), bytes(64)]
)
def test_damaged_frames_of_rle_are_held_back(frame: bytes) -> None:
    with pytest.raises(QuarantineError, match="RLE frame is damaged"):
        deidentified(gray([frame]))


def test_damaged_runs_never_lead_outside() -> None:
    frame = encoded(PLANES, after=SECRET)
    numbers = {0x00280010: 16, 0x00280011: 20, 0x00280100: 16}
    for at in range(len(frame)):
        for data in (frame[:at], frame[:at] + bytes((frame[at] ^ 0xFF,)) + frame[at + 1 :]):
            try:
                found = [*superfluous_in_rle(data, numbers)]
            except QuarantineError:
                continue
            assert all(0 <= start <= end <= len(data) for start, end in found)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"])
def test_what_leads_to_no_fragment_goes_from_the_offset_table(name: str) -> None:
    dataset = pydicom.dcmread(get_testdata_file(name))
    frame = frame_of(dataset)
    for table, left in ((b"\0\0\0\0", b"\0\0\0\0"), (SECRET + b"\0\0", bytes(len(SECRET) + 2))):
        item = b"\xfe\xff\x00\xe0"
        tail = item + len(frame).to_bytes(4, "little") + frame
        dataset.PixelData = item + len(table).to_bytes(4, "little") + table + tail
        assert deidentified(dataset).PixelData == item + len(table).to_bytes(4, "little") + left + tail
