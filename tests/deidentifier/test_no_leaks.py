"""Identifiers never appear in a log, an error or a report, whatever happens: marked values through everything."""

import io
import json
import logging
import warnings

import numpy as np
import psycopg2
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit

from common.errors import DatabaseUnavailableError, ResearchPacsError
from common.log import describe_exception, silence_libraries
from deidentifier.builder import DeidentifierBuilder
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.offline.explain import explain
from deidentifier.rules_file import load_rules
from deidentifier.settings import OfflineSettings

MARK = "ZQX"
FRAME = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n"

RULES = {
    "ShiftDateTime": "ShiftDateTime: [{TagPatterns: ['*/*'], ShiftBy: 100, ReuseMapping: SamePatient}]",
    "PreserveIntervals": (
        "ShiftDateTime: [{TagPatterns: ['*/*'], ShiftBy: 9, ReuseMapping: SameStudy, PreserveIntervals: true}]"
    ),
    "RandomizeText": "RandomizeText: [{TagPatterns: ['*/*', '*/XXX@XXXX'], ReuseMapping: Always}]",
    "RandomizeText, split": "RandomizeText: [{TagPatterns: '*/{PN}', Split: '^', IgnoreCase: true}]",
    "RandomizeUID": "RandomizeUID: [{TagPatterns: '*/{UI}'}]",
    "AddTags": "AddTags: [{Tag: ReferencedImageSequence.PatientID, VR: LO, Value: x, OverwriteIfExists: true}]",
    "DeleteTags": "DeleteTags: [{TagPatterns: '*/{PN}', Action: Remove}, {TagPatterns: '*/{LO}', Action: Empty}]",
    "Boxes": "RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[0, 0, 2, 2]]}]",
    "Boxes outside": "RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[500, 500, 600, 600]]}]",
    "Transcode": "Transcode: 1.2.840.10008.1.2.1.99",
}


def marked(**changes):
    """Return a file whose every text holds the mark, legal or not, at the top and inside a sequence."""
    dataset = Dataset()
    with pydicom.config.disable_value_validation():
        for target in (dataset, inner := Dataset()):
            target.PatientName = f"{MARK}^Name"
            target.PatientID = f"{MARK}-ID"
            target.StudyDate = f"{MARK}2020"
            target.StudyTime = f"{MARK}12"
            target.AcquisitionDateTime = f"{MARK}2020"
            target.StudyInstanceUID = f"1.2.{MARK}"
            target.SOPInstanceUID = f"1.3.{MARK}"
            target.PatientAge = f"{MARK}Y"
            target.PatientWeight = "777.12"  # made illegal below: pydicom writes no such number
            target.PatientComments = f"comment {MARK}"
            target.CodeMeaning = f"{MARK} meaning"
            target.add_new(0x00090010, "LO", f"{MARK} CREATOR")
            target.add_new(0x00091001, "LO", f"{MARK} private")
            target.add_new(0x00091002, "UN", f"{MARK} unknown".encode())
        dataset.ReferencedImageSequence = Sequence([inner])
        dataset.Rows = dataset.Columns = 4
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.PixelData = np.zeros(16, np.uint8).tobytes()
        dataset.SOPClassUID = CTImageStorage
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = f"1.3.{MARK}"
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue().replace(b"777.12", f"{MARK}.12".encode())


@pytest.fixture
def everything_said(caplog, capsys):
    """Return a function that gives all that was logged and printed, with the errors as the log would show them.

    Libraries are silenced as every process of ours does at its start.
    """
    caplog.set_level(logging.DEBUG)

    def said(*errors):
        shown = [describe_exception(error) + str(error) for error in errors]
        printed = capsys.readouterr()
        return "\n".join([caplog.text, printed.out, printed.err, *shown])

    with warnings.catch_warnings():
        silence_libraries()
        yield said


def attempt(rules, data, mappings=None):
    """De-identify; returns the report as text, and the error, if any."""
    try:
        outcome = Deidentifier(rules, mappings or MemoryMappings()).deidentify(data)
        return json.dumps([finding.as_record() for finding in outcome.report]), []
    except ResearchPacsError as exc:
        return "", [exc]


@pytest.mark.parametrize("text", RULES.values(), ids=RULES)
def test_transformations_say_nothing(everything_said, text):
    report, errors = attempt(load_rules(FRAME + f"  {text}\n"), marked())
    assert MARK not in report
    assert MARK not in everything_said(*errors)
    assert report or errors


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"ISO_IR 100", f"ISO_IR {MARK}".encode()),
        (b"MONOCHROME2 ", f"MONOCHROME{MARK[:2]}".encode()),
        (b"\x28\x00\x10\x00US\x02\x00\x04\x00", b"\x28\x00\x10\x00US\x02\x00\x04\xff"),  # Rows
        (f"{MARK}^Name".encode(), b"\x1b$B" + MARK.encode() + b"\xff\xfe"),
        (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"),
        (b"1.2.840.10008.1.2.1\0", f"1.2.840.{MARK}.1.2.1\0".encode()),
    ],
)
def test_failures_of_an_instance_say_nothing(everything_said, old, new):
    data = marked(SpecificCharacterSet="ISO_IR 100")
    assert old in data
    text = FRAME + "".join(f"  {line}\n" for name, line in RULES.items() if name in ("RandomizeText", "Boxes"))
    report, errors = attempt(load_rules(text), data.replace(old, new))
    assert MARK not in report
    assert MARK not in everything_said(*errors)


def test_damaged_files_say_nothing(everything_said):
    rules, data, errors = load_rules(FRAME + f"  {RULES['RandomizeText']}\n"), marked(), []
    for length in range(0, len(data), 13):
        report, failed = attempt(rules, data[:length])
        errors += failed
        assert MARK not in report
    assert len(errors) > 10
    assert MARK not in everything_said(*errors)


def test_compressed_pixels_that_cannot_be_decoded_say_nothing(everything_said):
    data = marked().replace(ExplicitVRLittleEndian.encode() + b"\0", JPEGBaseline8Bit.encode()[:19] + b"\0")
    _, errors = attempt(load_rules(FRAME + f"  {RULES['Boxes']}\n"), data)
    assert errors
    assert MARK not in everything_said(*errors)


class Away:
    """Mappings whose database is away, and says so with the values it was asked for, as PostgreSQL does."""

    def fetch_or_create(self, wanted):
        raise DatabaseUnavailableError from psycopg2.OperationalError(f"lost connection while storing {wanted}")

    def secret(self):
        return bytes(32)


def test_a_database_that_is_away_says_nothing(everything_said):
    _, errors = attempt(load_rules(FRAME + f"  {RULES['RandomizeText']}\n"), marked(), Away())
    assert [type(error) for error in errors] == [DatabaseUnavailableError]
    assert MARK in str(errors[0].__cause__)
    assert MARK not in everything_said(*errors)


def test_an_explanation_shows_no_value(everything_said):
    text = FRAME + "".join(f"  {RULES[name]}\n" for name in ("ShiftDateTime", "RandomizeText", "RandomizeUID"))
    explanation = explain(DeidentifierBuilder(OfflineSettings()), load_rules(text), marked())
    assert MARK not in repr(explanation)
    assert len(explanation.lines) > 20
    assert MARK not in everything_said()
