"""The file around a data set: preamble, prefix and file meta information, written afresh (PS3.10 7.1)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

from common.dicom_head import EXPLICIT
from common.dicom_scan import DEFLATED
from deidentifier.vrs import pad

IMPLEMENTATION_CLASS_UID = "2.25.302341826017345919024857761238475610293"
IMPLEMENTATION_VERSION_NAME = "RESEARCH_PACS_2"
_PREAMBLE = bytes(128) + b"DICM"


@dataclass(frozen=True)
class DicomFile:
    """A file in three parts, as its untouched pixel data need not be copied to be searched around, or written to disk.

    Attributes
    ----------
    before, after
        What stands before and after the pixel data.
    pixels
        Their element, header included; empty where they were touched, or there are none, and all is ``before``.
    """

    before: bytes
    pixels: bytes | memoryview = b""
    after: bytes = b""

    @cached_property
    def data(self) -> bytes:
        """The whole file in one."""
        return b"".join(self.parts) if self.pixels else self.before

    @property
    def parts(self) -> tuple[bytes | memoryview, ...]:
        """The parts, to be written one after another."""
        return self.before, self.pixels, self.after


def write_file(
    body: list[bytes | memoryview], transfer_syntax: str, sop_class: str, sop_instance: str, pixels: int | None = None
) -> DicomFile:
    """Return a DICOM file.

    Parameters
    ----------
    body
        The pieces of the data set, in the transfer syntax (not deflated).
    transfer_syntax, sop_class, sop_instance
        UIDs of the file meta information; nothing else of the original's gets there.
    pixels
        Which of the pieces is the untouched element of the pixel data; None: none is.
    """
    head = (_PREAMBLE, _write_meta(transfer_syntax, sop_class, sop_instance))
    if transfer_syntax == DEFLATED:
        return DicomFile(b"".join((*head, *_deflate(body))))
    if pixels is None:
        return DicomFile(b"".join((*head, *body)))
    return DicomFile(b"".join((*head, *body[:pixels])), body[pixels], b"".join(body[pixels + 1 :]))


def _deflate(body: list[bytes | memoryview]) -> list[bytes]:
    """Deflate a data set; a NUL makes the length even (PS3.5 A.5)."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = [*map(deflater.compress, body), deflater.flush()]
    return [*deflated, b"\0" * (sum(map(len, deflated)) % 2)]


def _write_meta(transfer_syntax: str, sop_class: str, sop_instance: str) -> bytes:
    """Return the elements of group 0002 with their group length."""
    before, after = _constant_meta(transfer_syntax, sop_class)
    body = before + _element(0x00020003, "UI", sop_instance) + after
    return EXPLICIT.write_header(0x00020000, "UL", 4) + struct.pack("<L", len(body)) + body


@lru_cache(maxsize=256)
def _constant_meta(transfer_syntax: str, sop_class: str) -> tuple[bytes, bytes]:
    """Return what stands before and after the SOP Instance UID: the same for whole series."""
    version = EXPLICIT.write_header(0x00020001, "OB", 2) + b"\0\1"
    after = (
        _element(0x00020010, "UI", transfer_syntax)
        + _element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID)
        + _element(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME)
    )
    return version + _element(0x00020002, "UI", sop_class), after


def _element(tag: int, vr: str, text: str) -> bytes:
    raw = pad(text.encode("latin-1"), vr)
    return EXPLICIT.write_header(tag, vr, len(raw)) + raw
