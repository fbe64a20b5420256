"""JPEG lossless, JPEG extended and RLE by GDCM, which is never given what it ends the process over.

GDCM reports much of what it cannot do by an exception that no caller from Python can catch. So a codestream reaches
it only where its own header agrees with what the DICOM file says of the frame. Its Python interface returns bytes as
text, at two to four times their size: they are taken from where they lie instead.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
from pydicom import uid

from common.codestreams import read_frame_header

_PIXEL_DATA = (0x7FE0, 0x0010)
#: The frames that GDCM is asked to decode (ISO 10918-1 B.1.1.3): extended sequential, lossless.
_MARKERS = {uid.JPEGExtended12Bit: (0xC0, 0xC1), uid.JPEGLossless: (0xC3,), uid.JPEGLosslessSV1: (0xC3,)}


@dataclass(frozen=True)
class Shape:
    """What the DICOM header says of one frame, in pixels and bits."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int


def encode_gdcm(shape: Shape, frame: npt.NDArray[Any], precision: int, syntax: uid.UID) -> bytes:
    """Encode a frame of that many bits; RLE of an odd number of bytes ends the process.

    Raises
    ------
    RuntimeError
        GDCM does not encode this.
    """
    element = gdcm.DataElement(gdcm.Tag(*_PIXEL_DATA))
    element.SetByteStringValue(frame.tobytes())
    converter = _convert(shape, precision, element, uid.ImplicitVRLittleEndian, syntax)
    fragments = converter.GetOutput().GetDataElement().GetSequenceOfFragments()
    parts = (fragments.GetFragment(number).GetByteValue() for number in range(fragments.GetNumberOfFragments()))
    return b"".join(_memory_of(part) for part in parts)


def decode_gdcm(shape: Shape, data: bytes, syntax: uid.UID) -> bytearray:
    """Decode a frame to numbers of ``bits_allocated`` in little endian, the samples of each pixel together.

    Raises
    ------
    ValueError, IndexError
        The codestream is damaged, or not of this shape and transfer syntax.
    RuntimeError
        GDCM does not decode it.
    """
    precision = _check(shape, data, syntax)
    stored = 8 if precision <= 8 else 16  # bits of a number in what GDCM makes of it
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(*_PIXEL_DATA))
    element.SetValue(fragments.__ref__())
    converter = _convert(shape, precision, element, syntax, uid.ImplicitVRLittleEndian, stored)
    memory = _memory_of(converter.GetOutput().GetDataElement().GetByteValue())
    if stored == shape.bits_allocated:
        return bytearray(memory)
    return bytearray(np.frombuffer(memory, f"<u{stored // 8}").astype(f"<u{shape.bits_allocated // 8}").data.cast("B"))


def _check(shape: Shape, data: bytes, syntax: uid.UID) -> int:
    """Hold the codestream against the shape; return its precision in bits."""
    header = read_frame_header(data)
    if header.marker not in _MARKERS[syntax]:
        raise ValueError("the codestream is of another kind than the transfer syntax says")
    if (header.rows, header.columns, len(header.components)) != (shape.rows, shape.columns, shape.samples):
        raise ValueError("the codestream has another size than the header says")
    if not 1 < header.precision <= min(shape.bits_allocated, 16):
        raise ValueError("the codestream has another precision than the header says")
    return header.precision


def _convert(
    shape: Shape,
    precision: int,
    element: gdcm.DataElement,
    before: uid.UID,
    after: uid.UID,
    allocated: int | None = None,
) -> gdcm.ImageChangeTransferSyntax:
    """Return a converter that has converted; what it made lives as long as it does."""
    writer = gdcm.ImageWriter()  # owns the image
    source = writer.GetImage()
    _describe(source, shape, precision, before, allocated or shape.bits_allocated)
    source.SetDataElement(element)
    converter = gdcm.ImageChangeTransferSyntax()
    converter.SetTransferSyntax(_syntax(after))
    converter.SetInput(source)
    if not converter.Change():
        raise RuntimeError("gdcm does not convert this")
    return converter


def _describe(target: gdcm.Image, shape: Shape, precision: int, syntax: uid.UID, allocated: int) -> None:
    """Say what one frame is."""
    target.SetNumberOfDimensions(2)
    target.SetDimensions((shape.columns, shape.rows, 1))
    # Colour stays what it is: gdcm must neither see YBR nor convert it.
    kind = gdcm.PhotometricInterpretation.RGB if shape.samples > 1 else gdcm.PhotometricInterpretation.MONOCHROME2
    target.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    target.SetTransferSyntax(_syntax(syntax))
    # Fewer than 8 bits in a byte end the process. What is encoded then says 8; the numbers are the same.
    bits = max(precision, 8) if allocated == 8 else precision
    target.SetPixelFormat(gdcm.PixelFormat(shape.samples, allocated, bits, bits - 1, 0))
    if shape.samples > 1:
        target.SetPlanarConfiguration(0)


def _syntax(syntax: uid.UID) -> gdcm.TransferSyntax:
    return gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax)))


def _memory_of(value: gdcm.ByteValue) -> memoryview:
    """Return what a value of gdcm holds, where it lies: gone with the value."""
    length = int(str(value.GetLength()))
    return memoryview((ctypes.c_char * length).from_address(int(value.GetVoidPointer()))).cast("B")
