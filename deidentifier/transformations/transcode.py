"""``Transcode``."""

from __future__ import annotations

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from common.yaml_kinds import Text, did_you_mean

ENCODABLE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
)
"""Transfer syntaxes that results can be written in."""


def parse_transfer_syntax(text: str) -> str:
    """Parse the UID of a transfer syntax that we can write.

    Raises
    ------
    ValueError
        Names those that we can.
    """
    if text in ENCODABLE:
        return text
    hint = did_you_mean(text, ENCODABLE)
    raise ValueError(f"{text}: not a transfer syntax that can be written; these can: {', '.join(ENCODABLE)}{hint}")


TRANSFER_SYNTAX = Text(parse_transfer_syntax, expected="a transfer syntax UID")
