"""Whole instances, as they are stored or in Explicit VR Little Endian."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from common.decoders import DECODING_ERRORS, use_decoders
from common.errors import InvalidDicomError
from common.orthanc import Orthanc
from website.dicomweb.media_types import EXPLICIT_LITTLE_ENDIAN, Accepted, NotAcceptableError
from website.dicomweb.members import Member
from website.dicomweb.multipart import Part

use_decoders()

DICOM = "application/dicom"
_CHUNK = 256 << 10


def file_syntax(accepted: Iterable[Accepted], member: Member) -> str:
    """Return the transfer syntax in which a multipart gives an instance.

    Where the client names none, it is as it is stored: viewers and research tools read every syntax, and pixels that
    were compressed with loss gain nothing by another. Explicit VR Little Endian is made on request.

    Raises
    ------
    NotAcceptableError
        The client takes no multipart of instances, or names other syntaxes.
    """
    given = [each for each in accepted if each.multipart and each.takes(DICOM)]
    if any(each.syntax in ("", "*", member.transfer_syntax.lower()) for each in given):
        return member.transfer_syntax
    if any(each.syntax == EXPLICIT_LITTLE_ENDIAN for each in given):
        return EXPLICIT_LITTLE_ENDIAN
    raise NotAcceptableError


def file_parts(orthanc: Orthanc, syntaxes: Mapping[Member, str]) -> Iterator[Part]:
    """Yield a part for each instance, read while it is sent.

    Raises
    ------
    InvalidDicomError
        One has to be decoded, and cannot be.
    """
    for member, syntax in syntaxes.items():
        as_stored = syntax == member.transfer_syntax
        body = read_file(orthanc, member) if as_stored else [_explicit(orthanc.download(member.id))]
        yield Part(f"{DICOM}; transfer-syntax={syntax}" if syntax else DICOM, body)


def read_file(orthanc: Orthanc, member: Member) -> Iterator[bytes]:
    """Yield an instance's file."""
    with orthanc.stream(f"/instances/{member.id}/file") as answer:
        yield from answer.stream(_CHUNK)


def _explicit(data: bytes) -> bytes:
    try:
        dataset = dcmread(io.BytesIO(data))
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        out = io.BytesIO()
        dataset.save_as(out, implicit_vr=False, little_endian=True, enforce_file_format=True)
    except DECODING_ERRORS:
        raise InvalidDicomError("an instance cannot be given in Explicit VR Little Endian") from None
    return out.getvalue()
