"""The rules that bench/deidentify.py measures, and the elements that its peers empty too."""

from __future__ import annotations

EMPTIED = (
    "AccessionNumber", "InstitutionName", "InstitutionAddress", "StationName", "StudyDescription", "SeriesDescription",
    "InstitutionalDepartmentName", "PatientComments", "EthnicGroup", "DeviceSerialNumber", "ProtocolName", "StudyID",
    "ImageComments", "RequestedProcedureDescription", "PerformedProcedureStepID", "CurrentPatientLocation",
    "PerformedProcedureStepDescription", "AdmissionID", "CountryOfResidence", "RequestedProcedureID",
)  # fmt: skip
RULES = f"""
Labels: []
ScopeToForward: {{Labels: ALL}}
Transformations:
  - Scope: {{Labels: ALL}}
    ShiftDateTime:
      - {{TagPatterns: ["*/{{DA}}", "*/{{TM}}", "*/{{DT}}"], ShiftBy: 365, ReuseMapping: SamePatient}}
    RandomizeText:
      - {{TagPatterns: ["*/{{PN}}", "*/PatientID"], ReuseMapping: Always}}
    RandomizeUID:
      - {{TagPatterns: ["*/*InstanceUID", "*/FrameOfReferenceUID"]}}
    DeleteTags:
      - {{TagPatterns: "*/XXX@XXXX", Action: Remove}}
      - {{TagPatterns: [{", ".join(f'"*/{keyword}"' for keyword in EMPTIED)}], Action: Empty}}
"""


def with_further_rules(number: int) -> str:
    """Return the rules with some more that match nothing."""
    more = "".join(
        f'      - {{TagPatterns: "+/0041{n:02X}XX.00{n % 90 + 10}9999", Action: Remove}}\n' for n in range(number)
    )
    return RULES + more
