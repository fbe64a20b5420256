"""Which attributes a search answers with at each level, and what a name in a request means (PS3.18 10.6.3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom._dicom_dict import DicomDictionary

from common.errors import QueryError
from common.tags import TagPath, is_private, parse_tag, parse_tag_path
from website.index import Level

# What is always answered: Tables 10.6.3-3 to 10.6.3-5. What is computed of several instances is in _COMPUTED.
_STUDY = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID",
    "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "TimezoneOffsetFromUTC",
)  # fmt: skip
_SERIES = (
    "Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
)  # fmt: skip
_INSTANCE = (
    "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames",
)  # fmt: skip
# What may be asked for besides, of a study and of a series: attributes that their modules (PS3.3 C.7.1 to C.7.5)
# keep the same over all instances. Of an instance, any attribute may be asked for.
_STUDY_MORE = (
    "StudyDescription", "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight", "EthnicGroup",
    "PatientComments", "PatientIdentityRemoved", "DeidentificationMethod", "NameOfPhysiciansReadingStudy",
    "ClinicalTrialProtocolID", "ClinicalTrialSubjectID", "ClinicalTrialTimePointID", "InstitutionName", "Occupation",
)  # fmt: skip
_SERIES_MORE = (
    "BodyPartExamined", "Laterality", "ProtocolName", "SeriesDate", "SeriesTime", "OperatorsName", "PatientPosition",
    "Manufacturer", "ManufacturerModelName", "StationName", "SoftwareVersions", "DeviceSerialNumber",
    "InstitutionalDepartmentName", "FrameOfReferenceUID", "PerformedProcedureStepID", "PresentationIntentType",
    "PerformedProcedureStepDescription", "SequenceName", "ContrastBolusAgent",
)  # fmt: skip
_CONDITIONAL = (
    "TimezoneOffsetFromUTC", "SeriesDescription", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    "Rows", "Columns", "BitsAllocated", "NumberOfFrames",
)  # fmt: skip
REQUIRED = frozenset(map(parse_tag, (*_STUDY, *_SERIES, *_INSTANCE))) - frozenset(map(parse_tag, _CONDITIONAL))
"""Answered also where an instance lacks it, then without a value; others are answered where they are present."""
COMPUTED = {
    "study": ("ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    "series": ("NumberOfSeriesRelatedInstances",),
    "instance": (),
}
"""What is answered of the permitted instances of a study or series together."""

_LEVELS: tuple[Level, ...] = ("study", "series", "instance")
_OWN = {"study": _STUDY, "series": _SERIES, "instance": _INSTANCE}
_MORE = {"study": _STUDY_MORE, "series": _SERIES_MORE, "instance": ()}


def default_attributes(level: Level, scope: Level | None) -> list[int]:
    """Return the tags answered without being asked for: of the level, and of those above up to the one in the URL."""
    above = [each for each in _above(level) if scope is None or _LEVELS.index(each) > _LEVELS.index(scope)]
    needed = ["StudyInstanceUID", *(["SeriesInstanceUID"] if level == "instance" else [])]
    names = [name for each in [*above, level] for name in _OWN[each]] + needed
    return sorted({parse_tag(name) for name in names})


def allowed_attributes(level: Level) -> set[int] | None:
    """Return the tags that may be asked for; None where any may."""
    if level == "instance":
        return None
    return {parse_tag(name) for each in [*_above(level), level] for name in (*_OWN[each], *_MORE[each])}


def _above(level: Level) -> Sequence[Level]:
    return _LEVELS[: _LEVELS.index(level)]


def read_path(text: str) -> TagPath:
    """Read a keyword, a hexadecimal tag, or a path of them joined by dots.

    Raises
    ------
    QueryError
        It is no attribute.
    """
    try:
        return parse_tag_path(text)
    except ValueError as exc:
        raise QueryError(f"no such parameter or attribute: {exc}") from None


def read_includes(values: Iterable[str]) -> tuple[bool, list[TagPath]]:
    """Read ``includefield``: whether it asks for all, and which attributes it names.

    Raises
    ------
    QueryError
        One of them is no attribute.
    """
    words = [word.strip() for value in values for word in value.split(",") if word.strip()]
    return "all" in words, [read_path(word) for word in words if word != "all"]


def is_single(tag: int) -> bool:
    """Tell whether an attribute has at most one value."""
    entry = DicomDictionary.get(tag)
    return entry is not None and entry[1] == "1"


def vr_of(tag: int) -> str:
    """Return the VR that PS3.6 gives an attribute; of two the first; UN where it knows none."""
    entry = DicomDictionary.get(tag)
    return entry[0][:2] if entry and not is_private(tag) else "UN"
