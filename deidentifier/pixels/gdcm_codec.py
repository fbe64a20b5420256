"""JPEG lossless, JPEG extended and RLE by GDCM.

Its Python interface returns bytes as text, at two to four times their size. They are taken from where they lie instead.
"""

from __future__ import annotations

import ctypes

import gdcm
import numpy as np
from pydicom import uid

from deidentifier.pixels.image import Codestream, Frame, Image

_PIXEL_DATA = (0x7FE0, 0x0010)


def encode_gdcm(image: Image, frame: Frame, stream: Codestream, syntax: uid.UID) -> bytes:
    """Encode a frame; RLE of an odd number of bytes is not for GDCM, which ends the process over it.

    Raises
    ------
    RuntimeError
        GDCM does not encode this.
    """
    element = gdcm.DataElement(gdcm.Tag(*_PIXEL_DATA))
    element.SetByteStringValue(frame.tobytes())
    converter = _convert(image, stream, element, uid.ImplicitVRLittleEndian, syntax)
    fragments = converter.GetOutput().GetDataElement().GetSequenceOfFragments()
    parts = (fragments.GetFragment(number).GetByteValue() for number in range(fragments.GetNumberOfFragments()))
    return b"".join(_memory_of(part) for part in parts)


def decode_gdcm(image: Image, stream: Codestream, data: bytes) -> Frame:
    """Decode a frame.

    Raises
    ------
    RuntimeError, ValueError
        GDCM does not decode this, or not to the numbers that the image needs.
    """
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(*_PIXEL_DATA))
    element.SetValue(fragments.__ref__())
    converter = _convert(image, stream, element, image.transfer_syntax, uid.ImplicitVRLittleEndian)
    value = converter.GetOutput().GetDataElement().GetByteValue()
    numbers = np.frombuffer(bytearray(_memory_of(value)), f"<u{image.bits_allocated // 8}")
    return numbers.reshape(image.rows, image.columns, image.samples)


def _convert(
    image: Image, stream: Codestream, element: gdcm.DataElement, before: uid.UID, after: uid.UID
) -> gdcm.ImageChangeTransferSyntax:
    """Return a converter that has converted; what it made lives as long as it does."""
    writer = gdcm.ImageWriter()  # owns the image
    source = writer.GetImage()
    _describe(source, image, stream, before)
    source.SetDataElement(element)
    converter = gdcm.ImageChangeTransferSyntax()
    converter.SetTransferSyntax(_syntax(after))
    converter.SetInput(source)
    if not converter.Change():
        raise RuntimeError("gdcm does not convert this")
    return converter


def _describe(target: gdcm.Image, image: Image, stream: Codestream, syntax: uid.UID) -> None:
    """Say what one frame is."""
    target.SetNumberOfDimensions(2)
    target.SetDimensions((image.columns, image.rows, 1))
    # Colour stays what it is: gdcm must neither see YBR nor convert it.
    kind = gdcm.PhotometricInterpretation.RGB if image.samples > 1 else gdcm.PhotometricInterpretation.MONOCHROME2
    target.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    target.SetTransferSyntax(_syntax(syntax))
    # Fewer than 8 bits in a byte end the process. What is encoded then says 8; the numbers are the same.
    bits = max(stream.precision, 8) if image.bits_allocated == 8 else stream.precision
    target.SetPixelFormat(gdcm.PixelFormat(image.samples, image.bits_allocated, bits, bits - 1, 0))
    if image.samples > 1:
        target.SetPlanarConfiguration(0)


def _syntax(syntax: uid.UID) -> gdcm.TransferSyntax:
    return gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax)))


def _memory_of(value: gdcm.ByteValue) -> memoryview:
    """Return what a value of gdcm holds, where it lies: gone with the value."""
    length = int(str(value.GetLength()))
    return memoryview((ctypes.c_char * length).from_address(int(value.GetVoidPointer()))).cast("B")
