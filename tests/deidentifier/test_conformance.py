"""A result is no worse an instance than its original, as ``dciodvfy`` of dicom3tools sees it."""

import re
import shutil
import subprocess
import tempfile
from collections import Counter

import pytest

from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
from demo.samples import sample_paths

# Rules that keep what an IOD requires: identifiers are replaced, not removed; what is optional goes.
RULES = """
Labels: []
ScopeToForward: {Labels: ALL}
Transformations:
  - Scope: {Labels: ALL}
    ShiftDateTime:
      - {TagPatterns: ["*/{DA}", "*/{DT}"], ShiftBy: 365, ReuseMapping: SamePatient, PreserveIntervals: true}
    RandomizeText:
      - TagPatterns: ["*/{PN}", "*/PatientID", "*/AccessionNumber", "*/StudyID", "*/DeviceSerialNumber"]
        ReuseMapping: Always
    RandomizeUID:
      - {TagPatterns: "*/{UI}"}
    DeleteTags:
      - {TagPatterns: "*/XXX@XXXX", Action: Remove}
      - {TagPatterns: ["*/InstitutionName", "*/OperatorsName"], Action: Remove}
"""
_QUOTED = re.compile(r"<[^<>]*>|`[^']*'|[\d.]+")


def errors(data: bytes) -> Counter[str]:
    """Return the kinds of error that dciodvfy finds, without the values it quotes."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        found = subprocess.run(["dciodvfy", file.name], capture_output=True, timeout=60, check=False)
    lines = found.stderr.decode("latin-1").splitlines()
    return Counter(_QUOTED.sub("…", line) for line in lines if line.startswith("Error"))


@pytest.fixture(scope="module")
def engine():
    """Give the engine with these rules; the checker must be installed."""
    assert shutil.which("dciodvfy"), "install Debian's dicom3tools (make setup)"
    return Deidentifier(load_rules(RULES), MemoryMappings())


@pytest.mark.parametrize("path", sample_paths()[::2], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_new_errors(engine, path):
    original = path.read_bytes()
    result = engine.deidentify(original).data
    assert errors(result) - errors(original) == Counter()


def test_the_checker_finds_what_is_missing(engine):
    """Without this, the test above could not fail."""
    path = next(path for path in sample_paths() if path.name == "CT_small.dcm")
    broken = Deidentifier(load_rules(RULES.replace('"*/InstitutionName"', '"*/Rows"')), MemoryMappings())
    original = path.read_bytes()
    assert errors(broken.deidentify(original).data) - errors(original)
