"""The keys of objects: where in the bucket an instance goes. Keys become file names, so they are made of safe names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from common.tags import parse_tag
from website.exports.choices import Choices
from website.index import IndexDocument

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# Names that Windows keeps for devices, whatever the ending.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST = 64
_TAGS = {
    name: (parse_tag(name),)
    for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality", "InstanceNumber")
}
IDENTITY = tuple(_TAGS.values())
"""The elements that :meth:`Identity.of` reads."""
ENDINGS = {"dicom": ".dcm", "transcoded": ".dcm", "png": ".png", "png-windowed": ".png", "jpeg": ".jpeg", "json": ""}


@dataclass(frozen=True)
class Identity:
    """What the list and the manifest say of an instance: values of its elements, empty where absent."""

    instance: str
    patient_id: str
    study_uid: str
    series_uid: str
    sop_uid: str
    modality: str
    number: str

    @classmethod
    def of(cls, document: IndexDocument) -> Identity:
        """Read them from the index's document."""
        found = {name: ((document.values(path) or ("",))[0:1] or ("",))[0] for name, path in _TAGS.items()}
        return cls(document.ids.instance, *(found[name] for name in _TAGS))


def base_key(identity: Identity, choices: Choices) -> str:
    """Return the key of an instance below the prefix, without ending."""
    if choices.layout == "flat":
        return identity.instance
    parts = [identity.patient_id, identity.study_uid, identity.series_uid]
    name = f"{safe_name(identity.number)}-{safe_name(identity.sop_uid)}"
    return "/".join([*map(safe_name, parts), name])


def safe_name(text: str) -> str:
    """Return a name that every file system takes; what had to be changed keeps a piece of its hash to stay distinct."""
    plain = text.strip()
    safe = _UNSAFE.sub("_", plain).strip("._")[:_LONGEST]
    if not plain:
        return "unknown"
    if safe == plain and not _DEVICES.match(safe):
        return safe
    digest = hashlib.sha256(plain.encode()).hexdigest()[:8]
    return f"{safe or 'x'}-{digest}" if not _DEVICES.match(safe) else f"x-{safe}-{digest}"


def frame_suffixes(frames: int) -> Sequence[str]:
    """Return what distinguishes the pictures of an instance: nothing for one frame, else its number from 0."""
    return [""] if frames == 1 else [f"_{number}" for number in range(frames)]
