"""Decoding a compressed frame to the numbers in its codestream, and encoding those again without loss.

The numbers are taken as the codestream holds them, with its own precision and sign rather than with BitsStored and
PixelRepresentation: so a frame whose header and codestream disagree comes back as it was. Every encoded frame is
decoded again and compared before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
import openjpeg.utils
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder

from common.errors import QuarantineError
from deidentifier.pixels.image import Image
from deidentifier.pixels.jpeg import read_frame_header

#: An array of shape (rows, columns, samples).
Frame = npt.NDArray[Any]

JPEG_LOSSLESS = (uid.JPEGLossless, uid.JPEGLosslessSV1)
JPEG_LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
HTJ2K = (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
#: Frames of these are decoded and encoded again in the same transfer syntax, without loss.
SAME_SYNTAX = (uid.RLELossless, *JPEG_LOSSLESS, *JPEG_2000, *JPEG_LS)
#: These are decoded; what is masked is written in `LOSSLESS_SYNTAX`.
DECODED_ONLY = (*JPEG_LOSSY, *HTJ2K)
#: JPEG lossless is what every viewer of the field, Orthanc included, reads without a plugin.
LOSSLESS_SYNTAX = uid.JPEGLosslessSV1


@dataclass(frozen=True)
class Codestream:
    """How the numbers of a frame are encoded: bits of precision, whether signed, what the samples mean."""

    precision: int
    signed: bool
    photometric: str


def decode(image: Image, data: bytes) -> tuple[Frame, Codestream]:
    """Decode a frame.

    Raises
    ------
    QuarantineError
        The transfer syntax is not supported, or the frame is damaged.
    """
    if image.transfer_syntax not in (*SAME_SYNTAX, *DECODED_ONLY):
        raise QuarantineError(f"pixels in {image.transfer_syntax.name} cannot be masked: no decoder for them here")
    try:
        stream = _read_codestream(image, data)
        if image.transfer_syntax == uid.JPEGExtended12Bit:
            return _decode_gdcm(image, stream, data), stream
        return _decode(image, stream, data), stream
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, NotImplementedError) as exc:
        raise QuarantineError(f"a frame in {image.transfer_syntax.name} does not decode") from exc


def encode(image: Image, frame: Frame, stream: Codestream, syntax: uid.UID | None = None) -> bytes:
    """Encode a frame without loss, in the image's own transfer syntax or another one.

    Raises
    ------
    QuarantineError
        The encoder fails, or what it wrote does not decode to the same numbers.
    """
    syntax = syntax or image.transfer_syntax
    try:
        data = _encoder(syntax)(image, frame, stream)
    except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as exc:
        raise QuarantineError(f"a masked frame cannot be encoded in {syntax.name}") from exc
    written = _with_syntax(image, syntax, stream)
    again, _ = decode(written, data)
    if not np.array_equal(again, frame):
        raise QuarantineError(f"a masked frame does not come back unchanged from {syntax.name}")
    return data + b"\0" * (len(data) % 2)


def _with_syntax(image: Image, syntax: uid.UID, stream: Codestream) -> Image:
    photometric = image.photometric if syntax == image.transfer_syntax else stream.photometric
    return replace(image, transfer_syntax=syntax, photometric=photometric)


def _read_codestream(image: Image, data: bytes) -> Codestream:
    """Read precision and sign from the codestream's own header."""
    if image.transfer_syntax == uid.RLELossless:
        return Codestream(image.bits_allocated, False, image.photometric)
    if image.transfer_syntax in (*JPEG_2000, *HTJ2K):
        parameters = openjpeg.utils.get_parameters(data)
        photometric = "RGB" if image.photometric in ("YBR_RCT", "YBR_ICT") else image.photometric
        return Codestream(int(parameters["precision"]), bool(parameters["is_signed"]), photometric)
    return Codestream(read_frame_header(data).precision, False, image.photometric)


def _options(image: Image, stream: Codestream, photometric: str) -> dict[str, Any]:
    """Return what pydicom's coders want to know."""
    return {
        "rows": image.rows,
        "columns": image.columns,
        "samples_per_pixel": image.samples,
        "photometric_interpretation": photometric,
        "bits_allocated": image.bits_allocated,
        "bits_stored": stream.precision,
        "pixel_representation": int(stream.signed),
        "number_of_frames": 1,
        "planar_configuration": 0,
        "pixel_keyword": "PixelData",
    }


def _decode(image: Image, stream: Codestream, data: bytes) -> Frame:
    options = _options(image, stream, image.photometric)
    array, _ = get_decoder(image.transfer_syntax).as_array(encapsulate([data]), raw=True, **options)
    return np.array(array).reshape(image.rows, image.columns, image.samples)


def _encoder(syntax: uid.UID) -> Callable[[Image, Frame, Codestream], bytes]:
    if syntax in (*JPEG_LOSSLESS, uid.RLELossless):
        return lambda image, frame, stream: _encode_gdcm(image, frame, stream, syntax)
    # The lossy variants of JPEG 2000 and JPEG-LS allow lossless codestreams (PS3.5 A.4.3, A.4.4).
    lossless = uid.JPEG2000Lossless if syntax in JPEG_2000 else uid.JPEGLSLossless if syntax in JPEG_LS else syntax
    return lambda image, frame, stream: _encode(image, frame, stream, lossless)


def _encode(image: Image, frame: Frame, stream: Codestream, syntax: uid.UID) -> bytes:
    photometric = "YBR_RCT" if image.photometric in ("YBR_RCT", "YBR_ICT") else image.photometric
    options = _options(image, stream, photometric)
    return bytes(get_encoder(syntax).encode(np.ascontiguousarray(frame).tobytes(), **options))


def _gdcm_image(image: Image, stream: Codestream, syntax: uid.UID) -> tuple[gdcm.ImageWriter, gdcm.Image]:
    """Return an image of one frame without its pixels, and the writer that keeps it alive."""
    writer = gdcm.ImageWriter()
    target = writer.GetImage()
    target.SetNumberOfDimensions(2)
    target.SetDimensions((image.columns, image.rows, 1))
    # Colour stays what it is: gdcm must neither see YBR nor convert it.
    kind = gdcm.PhotometricInterpretation.RGB if image.samples > 1 else gdcm.PhotometricInterpretation.MONOCHROME2
    target.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    target.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    bits = stream.precision
    target.SetPixelFormat(gdcm.PixelFormat(image.samples, image.bits_allocated, bits, bits - 1, 0))
    if image.samples > 1:
        target.SetPlanarConfiguration(0)
    return writer, target


def _encode_gdcm(image: Image, frame: Frame, stream: Codestream, syntax: uid.UID) -> bytes:
    writer, source = _gdcm_image(image, stream, uid.ImplicitVRLittleEndian)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(np.ascontiguousarray(frame).tobytes())
    source.SetDataElement(element)
    converter = gdcm.ImageChangeTransferSyntax()
    converter.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    converter.SetInput(source)
    if not converter.Change():
        raise RuntimeError("gdcm does not encode this")
    fragments = converter.GetOutput().GetDataElement().GetSequenceOfFragments()
    parts = [fragments.GetFragment(n).GetByteValue().GetBuffer() for n in range(fragments.GetNumberOfFragments())]
    del writer
    return b"".join(part.encode("utf-8", "surrogateescape") for part in parts)


def _decode_gdcm(image: Image, stream: Codestream, data: bytes) -> Frame:
    """Decode with gdcm itself: pydicom does not let it decode 12-bit JPEG."""
    writer, target = _gdcm_image(image, stream, image.transfer_syntax)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    target.SetDataElement(element)
    buffer = target.GetBuffer().encode("utf-8", "surrogateescape")
    del writer
    return (
        np.frombuffer(buffer, f"<u{image.bits_allocated // 8}").reshape(image.rows, image.columns, image.samples).copy()
    )
