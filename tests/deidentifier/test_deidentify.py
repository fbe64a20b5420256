"""De-identification through bytes: what goes in as a file, and what comes out as one."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_files

from common.errors import InvalidDicomError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules

RULES = """
Labels: []
ScopeToForward: {Labels: ALL}
Transformations:
  - Scope: {Labels: ALL}
    ShiftDateTime:
      - {TagPatterns: ["*/{DA}", "*/{DT}"], ShiftBy: 365, ReuseMapping: SamePatient, PreserveIntervals: true}
      - {TagPatterns: "*/{TM}", ShiftBy: 3600}
    RandomizeText:
      - {TagPatterns: "*/PatientID", ReuseMapping: Always}
      - {TagPatterns: "*/{PN}", ReuseMapping: SamePatient, Split: "^"}
    RandomizeUID: [{TagPatterns: "*/{UI}"}]
    DeleteTags:
      - {TagPatterns: "*/XXX@XXXX", Action: Remove}
      - {TagPatterns: "*/*Description", Action: Empty}
"""
SAMPLES = sorted({Path(file).name: Path(file) for file in get_testdata_files() if Path(file).is_file()}.items())


@pytest.fixture(scope="module")
def deidentifier():
    return Deidentifier(load_rules(RULES), MemoryMappings())


@pytest.mark.parametrize("path", [path for _, path in SAMPLES], ids=[name for name, _ in SAMPLES])
def test_every_sample_gives_a_file_that_pydicom_reads_or_a_typed_error(deidentifier, path):
    data = path.read_bytes()
    try:
        outcome = deidentifier.deidentify(data)
    except InvalidDicomError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old, new = pydicom.dcmread(path, force=True), pydicom.dcmread(io.BytesIO(outcome.data))
        list(new.iterall())
    assert outcome.data[:128] == bytes(128)
    assert new.file_meta.MediaStorageSOPInstanceUID == outcome.sop_instance_uid
    assert not any(element.tag.is_private for element in new.iterall())
    assert "SourceApplicationEntityTitle" not in new.file_meta
    if str(old.get("PatientName", "")).strip("^ "):
        assert new.PatientName != old.PatientName
    if "PixelData" in old:
        assert new.get_item("PixelData").value == old.get_item("PixelData").value
    assert deidentifier.deidentify(data).data == outcome.data
