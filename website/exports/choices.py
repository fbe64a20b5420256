"""What a user chooses of an export: formats, layouts, options; and the check of what was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from common.errors import RefusedError

FORMATS: Mapping[str, str] = {
    "dicom": "DICOM, as stored",
    "transcoded": "DICOM in another transfer syntax",
    "png": "PNG, the stored values (16 bits where the data has more than 8)",
    "png-windowed": "PNG, windowed to 8 bits",
    "jpeg": "JPEG, windowed to 8 bits",
    "json": "Elements as JSON alone",
}
LAYOUTS: Mapping[str, str] = {
    "tree": "Folders: patient / study / series / number-instance",
    "flat": "Flat: Orthanc's identifier",
}
_TARGETS = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless)
UIDS: Mapping[str, str] = {uid.keyword: str(uid) for uid in _TARGETS}
SYNTAXES: Mapping[str, str] = {uid.keyword: uid.name for uid in _TARGETS}
"""Transfer syntaxes to transcode to, by keyword: lossless ones that can be written frame by frame."""


@dataclass(frozen=True)
class Choices:
    """How instances become objects.

    Attributes
    ----------
    format, layout
        Of :data:`FORMATS` and :data:`LAYOUTS`.
    transfer_syntax
        Of :data:`SYNTAXES`; empty unless the format is ``transcoded``.
    elements
        The element document as JSON beside each.
    """

    format: str = "dicom"
    layout: str = "tree"
    transfer_syntax: str = ""
    elements: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return what a job's row holds."""
        return asdict(self)

    @property
    def needs_elements(self) -> bool:
        """Tell whether the element document of each instance is sent."""
        return self.elements or self.format == "json"

    @property
    def described(self) -> str:
        """The choice in words."""
        what = f"DICOM in {SYNTAXES[self.transfer_syntax]}" if self.transfer_syntax else FORMATS[self.format]
        return what + (", elements as JSON beside" if self.elements and self.format != "json" else "")


def read_choices(given: Mapping[str, Any]) -> Choices:
    """Read choices from a form, a JSON document or a command line; what is not given has its default.

    Raises
    ------
    RefusedError
        Something is not to be chosen; says what is.
    """
    format = _one_of(FORMATS, given.get("format") or "dicom", "format")
    layout = _one_of(LAYOUTS, given.get("layout") or "tree", "layout")
    syntax = ""
    if format == "transcoded":
        syntax = _one_of(SYNTAXES, given.get("transfer_syntax") or "", "transfer_syntax")
    return Choices(format, layout, syntax, switched_on(given.get("elements")))


def switched_on(value: Any) -> bool:
    """Tell whether a box is ticked, a JSON value true."""
    return value is True or str(value or "").lower() in ("yes", "true", "on", "1")


def _one_of(known: Mapping[str, str], value: Any, name: str) -> str:
    if value not in known:
        raise RefusedError(f"{name} must be one of {', '.join(known)}")
    return str(value)
