"""Transcode: the result in another transfer syntax, without loss, by pydicom's encoders."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from common.errors import QuarantineError

_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
# Named, so that GDCM is never taken: its RLE encoder ends the whole process over a small image of odd size.
_ENCODERS = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}
# What pydicom and its codecs raise for pixels that they cannot read or write.
_FAILURES = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    OverflowError,
)


def transcode(data: bytes, transfer_syntax: str) -> bytes:
    """Return a file in another transfer syntax.

    Parameters
    ----------
    data
        A DICOM file.
    transfer_syntax
        UID of the one that is wanted.

    Raises
    ------
    QuarantineError
        The pixels cannot be decoded, or not be encoded so.
    """
    target = UID(transfer_syntax)
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            return _transcode(data, target)
        except _FAILURES as exc:
            raise QuarantineError(f"the pixels cannot be transcoded to {target.name}") from exc


def _transcode(data: bytes, target: UID) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    source = dataset.file_meta.TransferSyntaxUID
    if source.is_compressed and "PixelData" in dataset:
        dataset.decompress(generate_instance_uid=False)
        source = dataset.file_meta.TransferSyntaxUID
    little = target != ExplicitVRBigEndian
    if (source != ExplicitVRBigEndian) != little:
        dataset.walk(_swap_words)
    if target.is_encapsulated and "PixelData" in dataset:
        if source == ExplicitVRBigEndian:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        _interleave(dataset)
        dataset.compress(target, encoding_plugin=_ENCODERS.get(target, ""), generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = target
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=target.is_implicit_VR, little_endian=little, force_encoding=True)
    return buffer.getvalue()


def _interleave(dataset: Dataset) -> None:
    """Put the samples of each pixel together (PS3.3 C.7.6.3.1.3): encoders take planes for such pixels."""
    samples = dataset.get("SamplesPerPixel", 1)
    if samples == 1 or dataset.get("PlanarConfiguration") != 1:
        return
    size = dataset.Rows * dataset.Columns
    frames, width = int(dataset.get("NumberOfFrames") or 1), dataset.BitsAllocated // 8
    stored = np.frombuffer(dataset.PixelData, f"V{width}", frames * samples * size)
    pixels = stored.reshape(frames, samples, size).transpose(0, 2, 1).tobytes()
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset.PlanarConfiguration = 0


def _swap_words(dataset: Dataset, element: pydicom.DataElement) -> None:
    """Turn the bytes of a binary value that is made of words round; pydicom keeps those as they came."""
    size = _WORDS.get(element.VR)
    if size and isinstance(element.value, bytes) and len(element.value) % size == 0:
        element.value = np.frombuffer(element.value, f"<u{size}").byteswap().tobytes()
