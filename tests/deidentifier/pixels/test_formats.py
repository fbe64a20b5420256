"""What masking does to overlays, icons, single frames, bits outside, and what it refuses."""

from __future__ import annotations

import copy
import io
import struct

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_fragmented_frames, generate_frames
from pydicom.pixels import convert_color_space

from common.errors import QuarantineError
from deidentifier.pixels import codecs, jpeg
from deidentifier.pixels.black import black
from deidentifier.pixels.boxes import Box, clip
from deidentifier.pixels.image import Codestream, describe
from deidentifier.pixels.mask import mask

pytestmark = pytest.mark.filterwarnings("ignore")
LITTLE, BIG = uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian


def header(rows: int = 4, columns: int = 6, **values: object) -> Dataset:
    dataset = Dataset()
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.PixelRepresentation = 8, 8, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    if "HighBit" not in values:
        dataset.HighBit = dataset.BitsStored - 1
    return dataset


def sample(name: str) -> Dataset:
    dataset = pydicom.dcmread(str(get_testdata_file(name)))
    dataset.decode()
    return dataset


def masked_words(dataset: Dataset, words: np.ndarray, *boxes: Box, syntax: str = LITTLE, vr: str = "OW") -> np.ndarray:
    done = mask(dataset, syntax, words.tobytes(), [tuple(boxes)], vr=vr)
    assert done.pixel_data is not None
    return np.frombuffer(done.pixel_data, words.dtype).reshape(words.shape)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (0,)),
        ({"PhotometricInterpretation": "MONOCHROME1"}, (255,)),
        ({"BitsAllocated": 16, "BitsStored": 12, "PixelRepresentation": 1}, (-2048,)),
        ({"BitsAllocated": 16, "BitsStored": 12, "PhotometricInterpretation": "MONOCHROME1"}, (4095,)),
        ({"RescaleSlope": -1, "RescaleIntercept": 255}, (255,)),
        ({"RescaleSlope": -1, "PhotometricInterpretation": "MONOCHROME1"}, (0,)),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, (0, 0, 0)),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL"}, (0, 128, 128)),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_PARTIAL_422"}, (16, 128, 128)),
    ],
)
def test_what_black_is(values: dict[str, object], expected: tuple[int, ...]) -> None:
    dataset = header(**values)
    assert black(dataset, describe(dataset, LITTLE)) == expected


def test_a_falling_look_up_table_inverts() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 8], list(range(255, -1, -1))
    dataset = header(VOILUTSequence=[table])
    assert black(dataset, describe(dataset, LITTLE)) == (255,)


def test_the_darkest_colour_of_a_palette_is_black() -> None:
    dataset = header(PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        table = np.full(256, 40000, "<u2")
        table[77] = 12
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table.tobytes())
    assert black(dataset, describe(dataset, LITTLE)) == (77,)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_value_lies_at_its_place_in_the_word(order: str) -> None:
    """HighBit above BitsStored - 1; the sign is extended, no bit outside the box changes."""
    dataset = header(BitsAllocated=16, BitsStored=12, HighBit=15, PixelRepresentation=1)
    words = (np.arange(24).reshape(4, 6) * 777).astype(f"{order}u2")
    after = masked_words(dataset, words, Box(1, 1, 3, 2), syntax=LITTLE if order == "<" else BIG)
    assert (after[1, 1:3] == 0x8000).all()
    after = after.copy()
    after[1, 1:3] = words[1, 1:3]
    assert np.array_equal(after, words)


def test_overlays_in_unused_bits_go_with_the_pixels() -> None:
    dataset = header(BitsAllocated=16, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    dataset.add_new(0x60000100, "US", 16)
    dataset.add_new(0x60000102, "US", 14)
    words = np.full((4, 6), 0x4123, "<u2")
    after = masked_words(dataset, words, Box(0, 0, 2, 2))
    assert (after[:2, :2] == 0x0FFF).all()
    assert (after[2:] == 0x4123).all()


@pytest.mark.parametrize("frames", [1, 3])
def test_one_bit_pixels_that_do_not_end_at_a_byte(frames: int) -> None:
    dataset = header(rows=3, columns=5, BitsAllocated=1, BitsStored=1, NumberOfFrames=frames)
    bits = np.ones(frames * 15, np.uint8)
    value = np.packbits(bits, bitorder="little").tobytes()
    boxes = [()] * (frames - 1) + [(Box(1, 1, 3, 9),)]
    done = mask(dataset, LITTLE, value, boxes, vr="OB")
    after = np.unpackbits(np.frombuffer(done.pixel_data, np.uint8), bitorder="little")[: frames * 15]
    expected = bits.reshape(frames, 3, 5)
    expected[-1, 1:, 1:3] = 0
    assert np.array_equal(after.reshape(frames, 3, 5), expected)


def test_bytes_swapped_in_pairs() -> None:
    """8-bit samples in OW of big endian."""
    dataset = header()
    pixels = np.arange(1, 25, dtype=np.uint8)
    stored = pixels.view("<u2").byteswap().view(np.uint8)
    after = masked_words(dataset, stored, Box(1, 0, 2, 1), syntax=BIG).view("<u2").byteswap().view(np.uint8)
    assert list(np.nonzero(after != pixels)[0]) == [1]


def test_pairs_that_share_their_colour_go_as_a_whole() -> None:
    dataset = header(SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422")
    after = masked_words(dataset, np.full((4, 3, 4), 9, np.uint8), Box(1, 0, 3, 1), vr="OB")
    assert after[0].tolist() == [[0, 0, 128, 128], [0, 0, 128, 128], [9, 9, 9, 9]]
    assert (after[1:] == 9).all()


def test_float_pixels() -> None:
    dataset = header(WindowCenter=0, WindowWidth=10)
    del dataset.BitsStored, dataset.HighBit
    words = np.linspace(2, 3, 24, dtype="<f4").reshape(4, 6)
    done = mask(dataset, LITTLE, words.tobytes(), [(Box(0, 0, 1, 1),)], keyword="FloatPixelData", vr="OF")
    after = np.frombuffer(done.pixel_data, "<f4").reshape(4, 6)
    assert after[0, 0] <= -5
    assert np.array_equal(after[1:], words[1:])


def test_overlay_planes_lose_the_bits_under_the_box() -> None:
    dataset = header()
    dataset.add_new(0x60020010, "US", 3)
    dataset.add_new(0x60020011, "US", 4)
    dataset.add_new(0x60020050, "SS", [2, 3])  # begins at row 1, column 2, counted from 0
    dataset.add_new(0x60023000, "OW", b"\xff\x0f")
    done = mask(dataset, LITTLE, bytes(24), [(Box(0, 0, 4, 2),)], vr="OB")
    plane = np.unpackbits(np.frombuffer(done.changes[0x6002, 0x3000].value, np.uint8), bitorder="little")[:12]
    assert plane.reshape(3, 4).tolist() == [[0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_planes_of_an_overlay_belong_to_their_frames() -> None:
    dataset = header(NumberOfFrames=3)
    for element, vr, value in ((0x10, "US", 4), (0x11, "US", 6), (0x15, "IS", 2), (0x51, "US", 2)):
        dataset.add_new(0x60000000 + element, vr, value)
    dataset.add_new(0x60003000, "OW", b"\xff" * 6)
    done = mask(dataset, LITTLE, bytes(72), [(Box(0, 0, 1, 1),), (), (Box(0, 0, 2, 1),)], vr="OB")
    planes = np.unpackbits(np.frombuffer(done.changes[0x6000, 0x3000].value, np.uint8), bitorder="little")
    assert np.nonzero(planes == 0)[0].tolist() == [24, 25]


def icon_of(**values: object) -> Dataset:
    icon = header(rows=2, columns=3, **values)
    icon.add_new("PixelData", "OB", bytes([200] * 6))
    return icon


def test_the_icon_is_masked_in_its_own_size() -> None:
    dataset = header(IconImageSequence=[icon_of()])
    done = mask(dataset, LITTLE, bytes(24), [(Box(0, 0, 1, 1),)], vr="OB")
    assert done.changes.IconImageSequence[0].PixelData == bytes([0] + [200] * 5)
    assert dataset.IconImageSequence[0].PixelData == bytes([200] * 6)


def test_an_icon_that_cannot_be_masked_is_removed() -> None:
    icon = icon_of()
    icon.PixelData = bytes(4)
    dataset = header(IconImageSequence=[icon])
    done = mask(dataset, LITTLE, bytes(24), [(Box(0, 0, 1, 1),)], vr="OB")
    assert done.removed == (0x00880200,)
    assert "IconImageSequence" not in done.changes


def test_smallest_pixel_value_stays_true() -> None:
    dataset = header(SmallestImagePixelValue=7, LargestImagePixelValue=9)
    done = mask(dataset, LITTLE, bytes([8] * 24), [(Box(0, 0, 1, 1),)], vr="OB")
    assert done.changes.SmallestImagePixelValue == 0
    assert "LargestImagePixelValue" not in done.changes


def test_without_a_box_nothing_is_touched() -> None:
    for name in ("emri_small_RLE.dcm", "CT_small.dcm", "color3d_jpeg_baseline.dcm"):
        dataset = sample(name)
        done = mask(dataset, dataset.file_meta.TransferSyntaxUID, dataset.PixelData, [(Box(-9, -9, 0, 0),)])
        assert done.pixel_data is None
        assert not done.changes
        assert not done.removed


@pytest.mark.parametrize(
    "name",
    [
        "emri_small_RLE.dcm",
        "emri_small_jpeg_2k_lossless.dcm",
        "emri_small_jpeg_ls_lossless.dcm",
        "color3d_jpeg_baseline.dcm",
    ],
)
def test_frames_without_a_box_are_copied_as_they_are(name: str) -> None:
    dataset = sample(name)
    count = int(dataset.NumberOfFrames)
    boxes = [(Box(3, 3, 20, 9),) if number == 1 else () for number in range(count)]
    done = mask(dataset, dataset.file_meta.TransferSyntaxUID, dataset.PixelData, boxes)
    before = list(generate_fragmented_frames(dataset.PixelData, number_of_frames=count))
    after = list(generate_fragmented_frames(bytes(done.pixel_data), number_of_frames=count))
    assert [number for number in range(count) if before[number] != after[number]] == [1]
    assert done.transfer_syntax == dataset.file_meta.TransferSyntaxUID


def test_an_extended_offset_table_is_written_anew() -> None:
    dataset = sample("emri_small_RLE.dcm")
    count = int(dataset.NumberOfFrames)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
    value, offsets, lengths = pydicom.encaps.encapsulate_extended(frames)
    dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    done = mask(dataset, uid.RLELossless, value, [(Box(0, 0, 30, 30),)])
    tables = (done.changes.ExtendedOffsetTable, done.changes.ExtendedOffsetTableLengths)
    after = list(generate_fragmented_frames(bytes(done.pixel_data), extended_offsets=tables))
    assert len(after) == count
    assert all(frame[0][:4] == struct.pack("<I", 2) for frame in after)


def coefficients(data: bytes) -> list[np.ndarray]:
    """Return the coefficients of each component as blocks: (rows, columns, 64), read by the same library."""
    planes: dict[int, list[np.ndarray]] = {}

    def keep(values, array, plane, component, _index, _data):
        shape = (array.h // 8, array.w // 8, 64)
        planes.setdefault(component, []).append(np.ctypeslib.as_array(values, shape=shape).copy())
        return 0

    assert jpeg._transform(jpeg._library(), data, jpeg._Filter(keep))
    return [np.concatenate(planes[number]) for number in sorted(planes)]


@pytest.mark.parametrize(("subsampling", "unit"), [(0, (8, 8)), (1, (16, 8)), (2, (16, 16))])
def test_blocks_outside_keep_their_coefficients(subsampling: int, unit: tuple[int, int]) -> None:
    chance = np.random.default_rng(4)
    pixels = np.kron(chance.integers(0, 255, (15, 20, 3), dtype=np.uint8), np.ones((5, 5, 1), np.uint8))
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=85, subsampling=subsampling)
    data = buffer.getvalue()
    box = Box(20, 20, 50, 37)
    written = jpeg.blacken_blocks(data, (box,), inverted=False, luminance=True)
    assert written is not None
    aligned = box.aligned(*unit)
    for before, after, (wide, high) in zip(
        coefficients(data), coefficients(written), [(8, 8), unit, unit], strict=True
    ):
        inside = np.zeros(before.shape[:2], bool)
        inside[aligned.top // high : aligned.bottom // high, aligned.left // wide : aligned.right // wide] = True
        assert np.array_equal(before[~inside], after[~inside])
        assert (after[inside][:, 1:] == 0).all()
    shown = np.asarray(Pillow.open(io.BytesIO(written)))
    assert shown[box.top : box.bottom, box.left : box.right].max() <= 4


def test_a_jpeg_frame_that_the_library_refuses_takes_the_lossless_path(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = sample("examples_ybr_color.dcm")
    before = dataset.pixel_array
    monkeypatch.setattr(jpeg, "_library", lambda: None)
    done = mask(dataset, uid.JPEGBaseline8Bit, dataset.PixelData, [(Box(10, 10, 50, 20),)])
    assert done.transfer_syntax == uid.JPEGLosslessSV1
    assert done.changes.PhotometricInterpretation == "YBR_FULL"
    assert done.changes.PlanarConfiguration == 0
    result = copy.deepcopy(dataset)
    result.update(done.changes)
    result.file_meta.TransferSyntaxUID = done.transfer_syntax
    result.PixelData = bytes(done.pixel_data)
    after = convert_color_space(result.pixel_array, "YBR_FULL", "RGB")
    assert (after[:, 10:20, 10:50] == 0).all()
    assert np.array_equal(after[:, 30:], before[:, 30:])
    # What was lost before stays said.
    assert result.get("LossyImageCompression") == dataset.get("LossyImageCompression")


def test_an_irreversible_colour_transform_becomes_a_reversible_one() -> None:
    dataset = sample("US1_J2KI.dcm")
    done = mask(dataset, uid.JPEG2000, dataset.PixelData, [(Box(10, 10, 50, 20),)])
    assert done.transfer_syntax == uid.JPEG2000
    assert done.changes.PhotometricInterpretation == "YBR_RCT"


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        (uid.MPEG2MPML, "MPEG2 .* cannot be masked"),
        (uid.MPEG4HP41, "MPEG-4 .* cannot be masked"),
        (uid.HEVCMP51, "HEVC.* cannot be masked"),
        ("1.2.840.10008.1.2.4.112", "cannot be masked"),
        ("1.2.3.4.5", "cannot be masked"),
        (uid.HTJ2KLossless, "does not decode"),
        (uid.JPEG2000, "does not decode"),
        (uid.JPEGLSLossless, "does not decode"),
        (uid.RLELossless, "does not decode"),
        (uid.JPEGBaseline8Bit, "does not decode"),
        (uid.JPEGLosslessSV1, "does not decode"),
    ],
)
def test_unknown_or_damaged_data_is_quarantined(syntax: str, reason: str) -> None:
    value = encapsulate([b"\xff\xd8 no image at all" * 4])
    with pytest.raises(QuarantineError, match=reason):
        mask(header(), syntax, value, [(Box(0, 0, 2, 2),)])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"PhotometricInterpretation": "CMYK"}, "PhotometricInterpretation"),
        ({"SamplesPerPixel": 3}, "SamplesPerPixel"),
        ({"BitsAllocated": 12}, "BitsAllocated"),
        ({"BitsStored": 9}, "BitsStored"),
        ({"Rows": None}, "Rows is missing"),
        ({"Rows": 0}, "Rows or Columns"),
        ({"NumberOfFrames": 2}, "shorter"),
        ({"HighBit": 3}, "HighBit"),
    ],
)
def test_contradictions_are_quarantined(values: dict[str, object], reason: str) -> None:
    with pytest.raises(QuarantineError, match=reason):
        mask(header(**values), LITTLE, bytes(24), [(Box(0, 0, 2, 2),)])


def test_fewer_compressed_frames_than_said_are_quarantined() -> None:
    dataset = sample("emri_small_RLE.dcm")
    dataset.NumberOfFrames = 11
    with pytest.raises(QuarantineError, match="frames"):
        mask(dataset, uid.RLELossless, dataset.PixelData, [(Box(0, 0, 9, 9),)])


def test_boxes_are_clipped_and_empty_ones_dropped() -> None:
    assert clip([Box(-1, -1, 9, 9), Box(5, 0, 9, 3), Box(2, 2, 2, 3)], 5, 4) == (Box(0, 0, 5, 4),)


def compressed(dataset: Dataset, frame: np.ndarray, syntax: uid.UID, precision: int) -> bytes:
    """Encode a frame (rows, columns, samples) as our own codecs do."""
    image = describe(dataset, syntax)
    return codecs.encode(image, frame, Codestream(precision, False, image.photometric))


SHAPES = [(1, 1), (3, 3), (15, 21), (16, 20)]


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("shape", SHAPES)
def test_rle_of_any_size(shape: tuple[int, int], bits: int, samples: int) -> None:
    """GDCM ends the process over frames of an odd number of bytes."""
    colour = "RGB" if samples == 3 else "MONOCHROME2"
    dataset = header(*shape, BitsAllocated=bits, BitsStored=bits, SamplesPerPixel=samples, PlanarConfiguration=0)
    dataset.PhotometricInterpretation = colour
    frame = np.random.default_rng(2).integers(1, 1 << bits, (*shape, samples)).astype(f"<u{bits // 8}")
    value = encapsulate([compressed(dataset, frame, uid.RLELossless, bits)])
    done = mask(dataset, uid.RLELossless, value, [(Box(0, 0, 1, 1),)])
    written = next(generate_frames(bytes(done.pixel_data), number_of_frames=1))
    after, _ = codecs.decode(describe(dataset, uid.RLELossless), written)
    frame[0, 0] = 0
    assert np.array_equal(after, frame)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("precision", [2, 5, 7, 8])
def test_jpeg_lossless_of_few_bits(precision: int, samples: int) -> None:
    """GDCM ends the process over a byte of which fewer than 8 bits are used."""
    dataset = header(16, 20, BitsStored=precision, SamplesPerPixel=samples, PlanarConfiguration=0)
    dataset.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    frame = np.random.default_rng(2).integers(1, 1 << precision, (16, 20, samples)).astype(np.uint8)
    data = bytearray(compressed(dataset, frame, uid.JPEGLosslessSV1, precision))
    # Other encoders write the precision that there is; the first number of a scan is half of it (ISO 10918-1 H.1.1).
    data[data.index(b"\xff\xc3") + 4] = precision
    shown = (frame.astype(int) - 128 + (1 << (precision - 1))) % 256
    done = mask(dataset, uid.JPEGLosslessSV1, encapsulate([bytes(data)]), [(Box(0, 0, 5, 5),)])
    written = next(generate_frames(bytes(done.pixel_data), number_of_frames=1))
    after, _ = codecs.decode(describe(dataset, uid.JPEGLosslessSV1), written)
    shown[:5, :5] = 0
    assert np.array_equal(after, shown)


def test_fragments_of_a_frame_are_found_without_an_offset_table() -> None:
    """Several fragments for each frame, their ends told by the markers alone."""
    dataset = sample("emri_small_jpeg_ls_lossless.dcm")
    count = int(dataset.NumberOfFrames)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
    value = encapsulate(frames, fragments_per_frame=2, has_bot=False)
    done = mask(dataset, uid.JPEGLSLossless, value, [(Box(0, 0, 9, 9),), *[()] * (count - 1)])
    after = list(generate_frames(bytes(done.pixel_data), number_of_frames=count))
    assert [before == now for before, now in zip(frames, after, strict=True)] == [False] + [True] * (count - 1)
