"""Files in another transfer syntax, without loss, by pydicom's encoders."""

from __future__ import annotations

import copy
import io
import itertools
import struct
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from common.decoders import use_decoders
from common.errors import QuarantineError

use_decoders()

TARGETS = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
)
"""Transfer syntaxes that files can be written in."""

_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
# Named, so that GDCM is never taken: its RLE encoder ends the whole process over a small image of odd size.
_ENCODERS = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}
# Two threads that encode JPEG 2000 at once end the process, since the library keeps state in globals.
_openjpeg = threading.Lock()
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
    _convert(dataset, target)
    buffer = io.BytesIO()
    little = target != ExplicitVRBigEndian
    pydicom.dcmwrite(buffer, dataset, implicit_vr=target.is_implicit_VR, little_endian=little, force_encoding=True)
    return buffer.getvalue()


def _convert(dataset: Dataset, target: UID) -> None:
    """Turn the pixels of a data set, and all that is made of words, into what the target wants."""
    source = dataset.file_meta.TransferSyntaxUID
    if source.is_compressed and "PixelData" in dataset:
        dataset.decompress(generate_instance_uid=False)
        source = dataset.file_meta.TransferSyntaxUID
    if (source != ExplicitVRBigEndian) != (target != ExplicitVRBigEndian):
        dataset.walk(_swap_words)
    if target.is_encapsulated and "PixelData" in dataset:
        if source == ExplicitVRBigEndian:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        _interleave(dataset)
        with _openjpeg if target == JPEG2000Lossless else nullcontext():
            dataset.compress(target, encoding_plugin=_ENCODERS.get(target, ""), generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = target


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


def transcode_file(source: BinaryIO, transfer_syntax: str, out: BinaryIO) -> None:
    """Write a large file in another transfer syntax, frame by frame: one frame is in memory at a time.

    What stands behind the pixel data (padding, signatures over other bytes) is left out. Each frame goes through the
    same steps as in :func:`transcode`. Deflated and big-endian targets are not for large files.

    Parameters
    ----------
    source
        A DICOM file that can be read at any place.
    transfer_syntax
        UID of the one that is wanted.

    Raises
    ------
    QuarantineError
        As :func:`transcode`.
    """
    target = UID(transfer_syntax)
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            _transcode_frames(source, target, out)
        except _FAILURES as exc:
            raise QuarantineError(f"the pixels cannot be transcoded to {target.name}") from exc


def _transcode_frames(source: BinaryIO, target: UID, out: BinaryIO) -> None:
    header = pydicom.dcmread(source, stop_before_pixels=True)
    if not _is_framewise(header):
        source.seek(0)
        out.write(_transcode(source.read(), target))
        return
    module, syntax = copy.deepcopy(header.group_dataset(0x0028)), header.file_meta.TransferSyntaxUID
    frames = (_convert_frame(module, syntax, frame, target) for frame in _read_frames(source, header))
    first = next(frames)
    if syntax == ExplicitVRBigEndian:
        header.walk(_swap_words)
    header.update({element.tag: element for element in first if element.tag.group == 0x0028})
    for tag in (0x7FE00001, 0x7FE00002):  # the offsets of the old frames
        header.pop(tag, None)
    header.file_meta.TransferSyntaxUID = target
    pydicom.dcmwrite(out, header, implicit_vr=target.is_implicit_VR, little_endian=True, force_encoding=True)
    write = _write_encapsulated if target.is_encapsulated else _write_native
    write(out, itertools.chain([first], frames), header, target)


def _is_framewise(header: Dataset) -> bool:
    """Tell whether frames lie apart in the file: not deflated, no bits across bytes, no shared chroma."""
    native_422 = header.get("PhotometricInterpretation") == "YBR_FULL_422"
    syntax = header.file_meta.TransferSyntaxUID
    return not (syntax.is_deflated or header.BitsAllocated % 8 or (native_422 and not syntax.is_compressed))


def _read_frames(source: BinaryIO, header: Dataset) -> Iterator[bytes]:
    """Yield the frames as they are stored; the file stands before the pixel data."""
    syntax = header.file_meta.TransferSyntaxUID  # asked for before the header is changed
    source.seek(8 if syntax.is_implicit_VR else 12, io.SEEK_CUR)  # PixelData's own header (PS3.5 7.1)
    count = int(header.get("NumberOfFrames") or 1)
    if syntax.is_encapsulated:
        yield from itertools.islice(generate_frames(source, number_of_frames=count), count)
        return
    size = header.Rows * header.Columns * header.get("SamplesPerPixel", 1) * header.BitsAllocated // 8
    for _ in range(count):
        frame = source.read(size)
        if len(frame) < size:
            raise ValueError("the pixel data is too short")
        yield frame


def _convert_frame(module: Dataset, syntax: UID, frame: bytes, target: UID) -> Dataset:
    """Make an image of one frame, with the pixel module alone, in the target syntax."""
    image = Dataset()
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.update({element.tag: element for element in copy.deepcopy(module)})
    image.pop("NumberOfFrames", None)
    image.set_original_encoding(syntax.is_implicit_VR, syntax.is_little_endian, "iso8859")
    image.PixelData = encapsulate([frame]) if syntax.is_encapsulated else frame
    image["PixelData"].VR = "OB" if syntax.is_encapsulated or image.BitsAllocated <= 8 else "OW"
    _convert(image, target)
    return image


def _write_native(out: BinaryIO, images: Iterable[Dataset], header: Dataset, target: UID) -> None:
    images = iter(images)
    first = next(images)
    count, size = int(header.get("NumberOfFrames") or 1), _native_size(first)
    length = count * size
    vr = b"" if target.is_implicit_VR else (b"OB\0\0" if header.BitsAllocated <= 8 else b"OW\0\0")
    out.write(struct.pack("<HH", 0x7FE0, 0x0010) + vr + struct.pack("<L", length + length % 2))
    for image in itertools.chain([first], images):
        out.write(image.PixelData[:size])
    out.write(b"\0" * (length % 2))


def _native_size(image: Dataset) -> int:
    return int(image.Rows * image.Columns * image.get("SamplesPerPixel", 1) * image.BitsAllocated // 8)


def _write_encapsulated(out: BinaryIO, images: Iterable[Dataset], header: Dataset, target: UID) -> None:
    """Write one fragment per frame and no offset table, which may be empty (PS3.5 A.4)."""
    out.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF))
    out.write(struct.pack("<HHL", 0xFFFE, 0xE000, 0))
    for image in images:
        (frame,) = generate_frames(image.PixelData, number_of_frames=1)
        out.write(struct.pack("<HHL", 0xFFFE, 0xE000, len(frame) + len(frame) % 2) + frame + b"\0" * (len(frame) % 2))
    out.write(struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
