"""What a client accepts (PS3.18 8.7), as far as DICOMweb needs it: types, the type inside a multipart, a syntax."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from common.errors import PermanentError

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
OCTETS = "application/octet-stream"
_UNCOMPRESSED = ("1.2.840.10008.1.2", EXPLICIT_LITTLE_ENDIAN, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "")
_PREFIX = "1.2.840.10008.1.2."
# Table 8.7.3-2 and -5: the media type of a frame of each transfer syntax.
_TYPES = {
    **dict.fromkeys(("4.50", "4.51", "4.57", "4.70"), "image/jpeg"),
    **dict.fromkeys(("4.80", "4.81"), "image/jls"),
    **dict.fromkeys(("4.90", "4.91"), "image/jp2"),
    **dict.fromkeys(("4.92", "4.93"), "image/jpx"),
    **dict.fromkeys(("4.201", "4.202", "4.203"), "image/jphc"),
    "5": "image/dicom-rle",
    **dict.fromkeys(("4.100", "4.101"), "video/mpeg2"),
    **dict.fromkeys(("4.102", "4.103", "4.104", "4.105", "4.106"), "video/mp4"),
}


class NotAcceptableError(PermanentError):
    """Nothing that can be given is accepted by the client."""


@dataclass(frozen=True)
class Accepted:
    """One alternative of ``Accept``: the type, of a multipart the type inside, the transfer syntax."""

    type: str
    inner: str = "*/*"
    syntax: str = ""

    @property
    def multipart(self) -> bool:
        """Tell whether it takes a multipart."""
        return self.type in ("*/*", "multipart/*", "multipart/related")

    def takes(self, media_type: str) -> bool:
        """Tell whether the type inside a multipart may be this one."""
        return _covers(self.inner if self.type.startswith("multipart/") else "*/*", media_type)


def _covers(pattern: str, media_type: str) -> bool:
    return pattern in ("*/*", media_type) or (pattern.endswith("/*") and media_type.startswith(pattern[:-1]))


def read_media_type(text: str) -> tuple[str, dict[str, str]]:
    """Read a media type and its parameters, quoted or, as many programs write them, with a bare slash."""
    names = re.findall(r';\s*([\w-]+)\s*=\s*("[^"]*"|[^;"\s]+)', text)
    return text.split(";")[0].strip().lower(), {name.lower(): value.strip('"') for name, value in names}


def read_accept(headers: Iterable[str]) -> list[Accepted]:
    """Read ``Accept`` headers (and the ``accept`` parameter, PS3.18 8.3.3.1); anything, where there is none."""
    found: list[Accepted] = []
    for header in headers:
        for part in re.findall(r'(?:[^,"]|"[^"]*")+', header[:2000]):
            kind, parameters = read_media_type(part)
            if kind and parameters.get("q") not in ("0", "0.0"):
                inner = parameters.get("type", "*/*").split(";")[0].strip().lower()
                found.append(Accepted(kind, inner, parameters.get("transfer-syntax", "")))
    return found or [Accepted("*/*")]


def accepts(accepted: Iterable[Accepted], media_type: str) -> bool:
    """Tell whether a single part of a type is accepted."""
    return any(_covers(each.type, media_type) for each in accepted)


def is_native(syntax: str) -> bool:
    """Tell whether pixels of a transfer syntax are not compressed."""
    return syntax in _UNCOMPRESSED


def frame_type(syntax: str) -> str:
    """Return the media type of a stored frame."""
    return OCTETS if is_native(syntax) else _TYPES.get(syntax.removeprefix(_PREFIX), OCTETS)


def choose_syntax(accepted: Iterable[Accepted], stored: str, media_type: str) -> str:
    """Return the transfer syntax in which to give what is stored in another: that one, or Explicit VR Little Endian.

    Raises
    ------
    NotAcceptableError
        Neither is accepted.
    """
    given = [each for each in accepted if each.multipart]
    for each in given:
        named = each.syntax in ("*", stored.lower())
        if each.takes(media_type) and (named or not each.syntax):
            return stored
        # What a client calls octets of any syntax is the stored frame (OHIF, and viewers on cornerstone).
        if each.takes(OCTETS) and named:
            return stored
    if any(each.takes(OCTETS) and each.syntax in ("", EXPLICIT_LITTLE_ENDIAN) for each in given):
        return EXPLICIT_LITTLE_ENDIAN
    raise NotAcceptableError
