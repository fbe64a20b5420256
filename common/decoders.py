"""The decoders that pydicom uses in our processes: none that ends the process over a file.

pydicom asks GDCM first, and tells it what the DICOM header says. Where that disagrees with the codestream, or
BitsStored is below 8 in a byte, GDCM ends the whole process. So it is taken away from pydicom, and asked through
:mod:`common.gdcm_codec` for what nothing else decodes.
"""

from __future__ import annotations

from functools import cache

from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from common.gdcm_codec import Shape, decode_gdcm

_NAME = "checked-gdcm"
_OURS = (uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
_OTHERS = (uid.JPEGBaseline8Bit, uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000)

#: pydicom wants to know what a decoder depends on.
DECODER_DEPENDENCIES = dict.fromkeys(_OURS, ("gdcm>=3.0.10",))

# What pydicom and its codecs raise on damaged or unusual pixel data. Their messages are dropped: they may quote values.
DECODING_ERRORS = (
    ValueError,
    RuntimeError,
    AttributeError,
    NotImplementedError,
    KeyError,
    TypeError,
    IndexError,
    OverflowError,
    OSError,
)


@cache
def use_decoders() -> None:
    """Have pydicom decode with these from now on, in the whole process."""
    for syntax in (*_OURS, *_OTHERS):
        decoder = get_decoder(syntax)
        if "gdcm" in decoder.available_plugins:
            decoder.remove_plugin("gdcm")
        if syntax in _OURS:
            decoder.add_plugin(_NAME, (__name__, "decode_frame"))


def is_available(syntax: str) -> bool:
    """Answer pydicom whether a transfer syntax is decoded here."""
    return syntax in _OURS


def decode_frame(data: bytes, runner: DecodeRunner) -> bytearray:
    """Decode a frame for pydicom.

    Raises
    ------
    ValueError, IndexError, RuntimeError
        As :func:`common.gdcm_codec.decode_gdcm`.
    """
    shape = Shape(runner.rows, runner.columns, runner.samples_per_pixel, runner.bits_allocated)
    frame = decode_gdcm(shape, data, runner.transfer_syntax)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    return frame
