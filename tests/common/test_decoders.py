"""Files whose header and codestream disagree: an error or a picture, never the end of the process."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    SecondaryCaptureImageStorage,
)

from common.decoders import use_decoders
from common.errors import InvalidDicomError, QuarantineError
from common.frames import export_frames
from common.gdcm_codec import Shape, encode_gdcm
from common.rendering import Picture, render
from common.transcoding import transcode

use_decoders()


def lossless(pixels: np.ndarray, bits: int) -> Dataset:
    """Return an instance in JPEG lossless; ``pixels`` is (rows, columns, samples) of 8 or 16 bits."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = pixels.shape
    dataset.PhotometricInterpretation = "RGB" if dataset.SamplesPerPixel == 3 else "MONOCHROME2"
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored = pixels.dtype.itemsize * 8, bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    shape = Shape(*pixels.shape, dataset.BitsAllocated)
    dataset.PixelData = encapsulate([encode_gdcm(shape, pixels, bits, JPEGLosslessSV1)])
    return dataset


def written(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("bits", [2, 4, 7, 8])
def test_lossless_of_few_bits_in_a_byte(bits: int, samples: int) -> None:
    """pydicom's GDCM ends the process over these."""
    pixels = np.random.default_rng(5).integers(0, 1 << bits, (16, 20, samples)).astype(np.uint8)
    file = written(lossless(pixels, bits))
    assert np.array_equal(pixel_array(io.BytesIO(file)).reshape(pixels.shape), pixels)
    assert render(io.BytesIO(file), Picture()).startswith(b"\x89PNG")
    assert len(list(export_frames(io.BytesIO(file), "png"))) == 1
    assert dcmread(io.BytesIO(transcode(file, "1.2.840.10008.1.2.1"))).PixelData == pixels.tobytes()


@pytest.mark.parametrize("bits", [8, 12])
def test_a_codestream_of_8_bits_in_words(bits: int) -> None:
    """BitsAllocated is 16, the codestream has 8 bits: its numbers are widened."""
    pixels = np.random.default_rng(5).integers(0, 256, (16, 20, 1)).astype(np.uint8)
    dataset = lossless(pixels, 8)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    assert np.array_equal(pixel_array(io.BytesIO(written(dataset))), pixels[..., 0])


def test_what_gdcm_alone_decodes_still_equals_its_uncompressed_twin() -> None:
    compressed = dcmread(get_testdata_file("JPEG-LL.dcm"))
    assert compressed.file_meta.TransferSyntaxUID in (JPEGLossless, JPEGLosslessSV1)
    assert compressed.pixel_array.dtype == np.int16
    again = dcmread(io.BytesIO(transcode(written(compressed), "1.2.840.10008.1.2.1")))
    assert np.array_equal(again.pixel_array, compressed.pixel_array)


def test_pydicom_never_asks_gdcm() -> None:
    for syntax in (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSLossless, JPEGLSNearLossless, JPEG2000, JPEGLosslessSV1):
        assert "gdcm" not in get_decoder(UID(syntax)).available_plugins


_SAMPLES = ("JPEG-LL.dcm", "JPEG-lossy.dcm", "JPEGLSNearLossless_08.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_gdcm.dcm")


def disagreeing(name: str) -> Iterator[Dataset]:
    """Yield the sample with headers that say something else, and with damaged codestreams."""
    path = get_testdata_file(name)
    for allocated, stored, samples, signed in itertools.product((8, 16, 32), (1, 7, 8, 12, 16), (1, 3), (0, 1)):
        dataset = dcmread(path)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, stored, max(stored - 1, 0)
        dataset.SamplesPerPixel, dataset.PixelRepresentation = samples, signed
        dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "YBR_FULL_422"
        dataset.PlanarConfiguration = signed
        yield dataset
    for rows, columns in ((1, 1), (7, 2000), (2000, 9)):
        dataset = dcmread(path)
        dataset.Rows, dataset.Columns = rows, columns
        yield dataset
    chance = np.random.default_rng(9)
    for _ in range(12):
        dataset = dcmread(path)
        damaged = bytearray(dataset.PixelData)
        for at in chance.integers(40, len(damaged) - 8, 20):
            damaged[at] ^= 0xFF
        dataset.PixelData = bytes(damaged[: int(chance.integers(len(damaged) // 2, len(damaged))) // 2 * 2])
        yield dataset


@pytest.mark.filterwarnings("ignore")  # pydicom and Pillow say much about files like these
@pytest.mark.parametrize("name", _SAMPLES)
def test_what_disagrees_or_is_damaged_is_an_error_or_a_picture(name: str) -> None:
    refused = 0
    for dataset in disagreeing(name):
        file = written(dataset)
        try:
            assert render(io.BytesIO(file), Picture()).startswith(b"\x89PNG")
        except InvalidDicomError:
            refused += 1
        try:
            transcode(file, "1.2.840.10008.1.2.1")
        except QuarantineError:
            refused += 1
    assert refused > 20
