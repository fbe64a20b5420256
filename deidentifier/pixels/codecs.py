"""Decoding a compressed frame to the numbers in its codestream, and encoding those again without loss.

The numbers are taken as the codestream holds them, with its own precision and sign rather than with BitsStored and
PixelRepresentation: so a frame whose header and codestream disagree comes back as it was. Every encoded frame is
decoded again and compared before it is used.

Frames can be large: what is held at once is the frame and one encoded form of it. So the libraries are called where
pydicom's coders would copy the frame several times, and what an encoder was given is compared by its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jpeg_ls
import numpy as np
import openjpeg.utils
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder

from common.codestreams import read_frame_header
from common.decoders import use_decoders
from common.errors import QuarantineError
from common.gdcm_codec import Shape, decode_gdcm, encode_gdcm
from deidentifier.pixels.image import Codestream, Frame, Image
from deidentifier.pixels.rle import decode_rle

use_decoders()

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
        return _decoder(image.transfer_syntax)(image, stream, data), stream
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, NotImplementedError) as exc:
        raise QuarantineError(f"a frame in {image.transfer_syntax.name} does not decode") from exc


def encode(image: Image, frame: Frame, stream: Codestream, syntax: uid.UID | None = None) -> bytes:
    """Encode a frame without loss, in the image's own transfer syntax or another one.

    Give the frame away, as an expression that nothing else refers to: then it is gone while what was written is
    decoded again.

    Raises
    ------
    QuarantineError
        The encoder fails, or what it wrote does not decode to the same numbers.
    """
    syntax = syntax or image.transfer_syntax
    expected = _digest(frame)
    try:
        data = _encoder(syntax)(image, frame, stream)
    except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as exc:
        raise QuarantineError(f"a masked frame cannot be encoded in {syntax.name}") from exc
    del frame
    if _digest(decode(_with_syntax(image, syntax, stream), data)[0]) != expected:
        raise QuarantineError(f"a masked frame does not come back unchanged from {syntax.name}")
    return data + b"\0" if len(data) % 2 else data


def _digest(frame: Frame) -> tuple[str, bytes]:
    """Return what two frames have in common only if their numbers and the type of these are the same."""
    return str(frame.dtype), hashlib.sha256(np.ascontiguousarray(frame).reshape(-1).view(np.uint8).data).digest()


def _with_syntax(image: Image, syntax: uid.UID, stream: Codestream) -> Image:
    photometric = image.photometric if syntax == image.transfer_syntax else stream.photometric
    return replace(image, transfer_syntax=syntax, photometric=photometric)


def _read_codestream(image: Image, data: bytes) -> Codestream:
    """Read precision and sign from the codestream's own header; a damaged one raises what the libraries raise."""
    if image.transfer_syntax == uid.RLELossless:
        return Codestream(image.bits_allocated, False, image.photometric)
    if image.transfer_syntax in (*JPEG_2000, *HTJ2K):
        parameters = openjpeg.utils.get_parameters(data)
        photometric = "RGB" if image.photometric in ("YBR_RCT", "YBR_ICT") else image.photometric
        return Codestream(int(parameters["precision"]), bool(parameters["is_signed"]), photometric)
    return Codestream(read_frame_header(data).precision, False, image.photometric)


def _decoder(syntax: uid.UID) -> Callable[[Image, Codestream, bytes], Frame]:
    if syntax == uid.RLELossless:
        return lambda image, _, data: decode_rle(image, data)
    if syntax in (*JPEG_2000, *HTJ2K):
        return _decode_jpeg_2000
    if syntax in JPEG_LS:
        return _decode_jpeg_ls
    return _decode_baseline if syntax == uid.JPEGBaseline8Bit else _decode_jpeg


def _decode_jpeg_2000(image: Image, stream: Codestream, data: bytes) -> Frame:
    buffer = openjpeg.utils.decode_pixel_data(data, version=2)
    kind = "i" if stream.signed else "u"
    return np.frombuffer(buffer, f"<{kind}{_container(stream)}").reshape(image.rows, image.columns, image.samples)


def _decode_jpeg_ls(image: Image, stream: Codestream, data: bytes) -> Frame:
    buffer, found = jpeg_ls.decode_pixel_data(data)
    numbers = np.frombuffer(buffer, f"<u{_container(stream)}")
    if image.samples > 1 and found["interleave_mode"] == 0:
        return numbers.reshape(image.samples, image.rows, image.columns).transpose(1, 2, 0)
    return numbers.reshape(image.rows, image.columns, image.samples)


def _container(stream: Codestream) -> int:
    """Return the bytes that the decoders use for a number of that precision."""
    return 1 if stream.precision <= 8 else 2 if stream.precision <= 16 else 4


def _decode_jpeg(image: Image, _stream: Codestream, data: bytes) -> Frame:
    numbers = np.frombuffer(decode_gdcm(_shape(image), data, image.transfer_syntax), f"<u{image.bits_allocated // 8}")
    return numbers.reshape(image.rows, image.columns, image.samples)


def _shape(image: Image) -> Shape:
    return Shape(image.rows, image.columns, image.samples, image.bits_allocated)


def _decode_baseline(image: Image, stream: Codestream, data: bytes) -> Frame:
    options = _options(image, stream, image.photometric)
    array, _ = get_decoder(image.transfer_syntax).as_array(encapsulate([data]), raw=True, **options)
    return np.array(array).reshape(image.rows, image.columns, image.samples)


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


def _encoder(syntax: uid.UID) -> Callable[[Image, Frame, Codestream], bytes]:
    # The lossy variants of JPEG 2000 and JPEG-LS allow lossless codestreams (PS3.5 A.4.3, A.4.4).
    if syntax in JPEG_2000:
        return _encode_jpeg_2000
    if syntax in JPEG_LS:
        return _encode_jpeg_ls
    if syntax == uid.RLELossless:
        return _encode_rle
    return lambda image, frame, stream: encode_gdcm(_shape(image), frame, stream.precision, syntax)


def _encode_rle(image: Image, frame: Frame, stream: Codestream) -> bytes:
    # pydicom's encoder is slow, and refuses 32 bits; GDCM's ends the process over an odd number of bytes.
    if frame.nbytes % 2 == 0:
        return encode_gdcm(_shape(image), frame, stream.precision, uid.RLELossless)
    options = _options(image, stream, "RGB" if image.samples > 1 else "MONOCHROME2")
    return get_encoder(uid.RLELossless).encode(frame.tobytes(), encoding_plugin="pydicom", **options)


def _encode_jpeg_2000(image: Image, frame: Frame, stream: Codestream) -> bytes:
    # Only where the header says so are the colours transformed; the number names sRGB, which asks for it.
    transformed = image.photometric in ("YBR_RCT", "YBR_ICT")
    written: bytes = openjpeg.utils.encode_array(
        frame[..., 0] if image.samples == 1 else frame,
        stream.precision,
        photometric_interpretation=int(transformed),
        use_mct=transformed,
    )
    return written


def _encode_jpeg_ls(image: Image, frame: Frame, stream: Codestream) -> bytes:
    # GDCM would need a third of the memory less, but ends the process over what pyjpegls refuses with an error.
    written: bytes = jpeg_ls.encode_pixel_data(
        frame.tobytes(),
        rows=image.rows,
        columns=image.columns,
        samples_per_pixel=image.samples,
        bits_stored=stream.precision,
        planar_configuration=0,
    )
    return written
