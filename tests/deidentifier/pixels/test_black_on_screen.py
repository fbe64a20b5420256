"""Boxes by rule, in files with an unusual way to the screen: what a viewer shows there, and that the rest stays."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from common.rendering import Picture, render
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules

pytestmark = pytest.mark.filterwarnings("ignore")
RULES = """
Labels: []
ScopeToForward: {Labels: ALL}
Transformations:
  - Scope: {Labels: ALL}
    RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[2, 1, 9, 5]]}]
"""
ROWS, COLUMNS = 11, 13
INSIDE = (slice(1, 5), slice(2, 9))


def dataset_of(words: np.ndarray, keyword: str = "PixelData", **values: object) -> Dataset:
    """Return an instance of one sample; its words are (rows, columns) or (frames, rows, columns)."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid(entropy_srcs=["black"])
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = words.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * words.dtype.itemsize
    dataset.PixelRepresentation = int(words.dtype.kind == "i")
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.HighBit = dataset.BitsStored - 1
    vr = {"FloatPixelData": "OF", "DoubleFloatPixelData": "OD"}.get(keyword, "OW")
    value = words.tobytes()
    dataset.add_new(keyword, vr, value + b"\0" * (len(value) % 2))
    return dataset


def file_of(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def masked(dataset: Dataset) -> bytes:
    return Deidentifier(load_rules(RULES), MemoryMappings()).deidentify(file_of(dataset)).data


def shown(data: bytes, frame: int = 1) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(render(io.BytesIO(data), Picture(frame=frame)))))


def table(entries: list[int], first: int = 0, bits: int = 8) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    item.ModalityLUTType = "US"
    return item


FALLING, RISING = list(range(255, -1, -1)), list(range(256))
#: Bright at both ends, darkest at 100.
VALLEY = [min(255, 2 * abs(value - 100)) for value in range(256)]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("modality", [None, FALLING, RISING, VALLEY])
@pytest.mark.parametrize("voi", [None, FALLING, RISING, VALLEY])
def test_tables_of_any_direction(photometric: str, modality: list[int] | None, voi: list[int] | None) -> None:
    words = np.random.default_rng(5).integers(0, 256, (ROWS, COLUMNS)).astype(np.uint8)
    words[-1, :2] = 0, 255  # the whole range is in the picture
    words[-2, :2] = 100, 228
    dataset = dataset_of(words, PhotometricInterpretation=photometric)
    if modality:
        dataset.ModalityLUTSequence = [table(modality)]
    if voi:
        dataset.VOILUTSequence = [table(voi)]
    before, result = shown(file_of(dataset)), masked(dataset)
    after = shown(result)
    assert after[INSIDE].max() <= before.min()
    stored = np.frombuffer(pydicom.dcmread(io.BytesIO(result)).PixelData[: words.size], np.uint8).reshape(words.shape)
    words[INSIDE] = stored[1, 2]
    assert np.array_equal(stored, words)


def test_a_palette_without_black() -> None:
    words = np.random.default_rng(5).integers(0, 200, (ROWS, COLUMNS)).astype(np.uint8)
    dataset = dataset_of(words, PhotometricInterpretation="PALETTE COLOR")
    chance = np.random.default_rng(6)
    for colour in ("Red", "Green", "Blue"):
        entries = chance.integers(90, 256, 200).astype("<u2") << 8
        entries[[31, 150]] = 60 << 8, 80 << 8
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [200, 0, 16])
        dataset.add_new(f"{colour}PaletteColorLookupTableData", "OW", entries.tobytes())
    result = masked(dataset)
    stored = np.frombuffer(pydicom.dcmread(io.BytesIO(result)).PixelData[: words.size], np.uint8).reshape(words.shape)
    assert (stored[INSIDE] == 31).all()
    assert np.unique(shown(result)[INSIDE]).tolist() == [60]


@pytest.mark.parametrize("slope", [1, -2])
@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floats_with_gaps(keyword: str, kind: str, slope: int) -> None:
    """What is no number, or infinite, decides nothing."""
    words = np.random.default_rng(5).normal(0, 1e6, (2, ROWS, COLUMNS)).astype(kind)
    words[0, 0, :3] = np.nan, np.inf, -np.inf
    dataset = dataset_of(words, keyword, NumberOfFrames=2, RescaleSlope=slope, RescaleIntercept=0)
    del dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    stored = np.frombuffer(pydicom.dcmread(io.BytesIO(masked(dataset)))[keyword].value, kind).reshape(words.shape)
    finite = words[np.isfinite(words)]
    expected = finite.min() if slope > 0 else finite.max()
    assert (stored[(slice(None), *INSIDE)] == expected).all()
    words[(slice(None), *INSIDE)] = expected
    assert stored.tobytes() == words.tobytes()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_frames_of_bits_begin_inside_a_byte(photometric: str) -> None:
    """143 pixels of one bit in each of three frames: no other bit of the value changes, the last ones included."""
    bits = np.random.default_rng(5).integers(0, 2, 3 * ROWS * COLUMNS).astype(np.uint8)
    filled = np.concatenate([bits, np.ones(-len(bits) % 16, np.uint8)])
    dataset = dataset_of(np.zeros((ROWS, COLUMNS), np.uint8), NumberOfFrames=3, PhotometricInterpretation=photometric)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    dataset.PixelData = np.packbits(filled, bitorder="little").tobytes()
    value = pydicom.dcmread(io.BytesIO(masked(dataset))).PixelData
    stored = np.unpackbits(np.frombuffer(value, np.uint8), bitorder="little")
    filled[: len(bits)].reshape(3, ROWS, COLUMNS)[(slice(None), *INSIDE)] = int(photometric == "MONOCHROME1")
    assert np.array_equal(stored, filled)


def test_overlays_everywhere_and_the_icon() -> None:
    """A plane in each of four unused bits, one of its own that begins inside a byte, a small copy: all lose the box."""
    words = (np.random.default_rng(5).integers(0, 1 << 16, (2, ROWS, COLUMNS)) | 0xF000).astype("<u2")
    dataset = dataset_of(words, BitsStored=12, NumberOfFrames=2, PhotometricInterpretation="MONOCHROME1")
    for number in range(4):
        group = 0x6000 + 2 * number
        dataset.add_new((group, 0x0010), "US", ROWS)
        dataset.add_new((group, 0x0011), "US", COLUMNS)
        dataset.add_new((group, 0x0100), "US", 16)
        dataset.add_new((group, 0x0102), "US", 12 + number)
    for element, vr, value in ((0x10, "US", ROWS), (0x11, "US", COLUMNS), (0x15, "IS", "2"), (0x100, "US", 1)):
        dataset.add_new((0x6010, element), vr, value)
    dataset.add_new((0x6010, 0x0102), "US", 0)
    dataset.add_new((0x6010, 0x3000), "OW", b"\xff" * 36)
    dataset.IconImageSequence = [dataset_of(np.full((ROWS, COLUMNS), 200, np.uint8))]
    del dataset.IconImageSequence[0].file_meta
    result = pydicom.dcmread(io.BytesIO(masked(dataset)))
    stored = np.frombuffer(result.PixelData, "<u2").reshape(words.shape)
    words[(slice(None), *INSIDE)] = 0x0FFF
    assert np.array_equal(stored, words)
    plane = np.unpackbits(np.frombuffer(result[0x6010, 0x3000].value, np.uint8), bitorder="little")
    expected = np.ones((2, ROWS, COLUMNS), np.uint8)
    expected[(slice(None), *INSIDE)] = 0
    assert np.array_equal(plane[: expected.size].reshape(expected.shape), expected)
    assert plane[expected.size :].all()
    icon = np.frombuffer(result.IconImageSequence[0].PixelData[: ROWS * COLUMNS], np.uint8).reshape(ROWS, COLUMNS)
    assert (icon[INSIDE] == 0).all()
    assert np.count_nonzero(icon == 200) == ROWS * COLUMNS - 28
