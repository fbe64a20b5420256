"""The hard cases, each through bytes: private blocks, odd files, order of rules, damaged input, what leaks nowhere."""

from __future__ import annotations

import io
import logging
import random
import threading
import warnings
from pathlib import Path

import pydicom
import pytest
import yaml
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.errors import InvalidDicomError, PermanentError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings, PostgresMappings
from deidentifier.rules_file import load_rules

DATA = Path(pydicom.__file__).parent / "data"
CHARACTER_SETS = sorted((DATA / "charset_files").glob("*.dcm"))


def engine(mappings=None, **transformations) -> Deidentifier:
    document = {
        "Labels": [],
        "ScopeToForward": {"Labels": "ALL"},
        "Transformations": [{"Scope": {"Labels": "ALL"}, **transformations}],
    }
    return Deidentifier(load_rules(yaml.safe_dump(document)), mappings or MemoryMappings())


def to_bytes(dataset: Dataset, syntax=ExplicitVRLittleEndian) -> bytes:
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", dataset.get("SOPInstanceUID", "1.2.3")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    file = FileDataset("", dataset, file_meta=meta, preamble=b"secret".ljust(128), is_implicit_VR=syntax.is_implicit_VR)
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def run(deidentifier: Deidentifier, data: bytes | Dataset) -> Dataset:
    data = data if isinstance(data, bytes) else to_bytes(data)
    return pydicom.dcmread(io.BytesIO(deidentifier.deidentify(data).data))


def remove(*patterns, **more):
    return {"TagPatterns": list(patterns), "Action": "Remove", **more}


def two_blocks() -> Dataset:
    dataset = Dataset()
    dataset.add_new(0x00290010, "LO", "MAKER")
    dataset.add_new(0x00290011, "LO", "OTHER")
    dataset.add_new(0x00290012, "LO", "MAKER")
    for tag in (0x00291001, 0x00291002, 0x00291101, 0x00291201):
        dataset.add_new(tag, "LO", "value")
    return dataset


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (remove("XXX@XXXX"), []),
        (remove("0029{MAKER}XX"), ["00290011", "00291101"]),
        (remove("0029{MAKER}01"), ["00290010", "00290011", "00291002", "00291101"]),
        (remove("XXX@XXXX", ExceptTagPatterns=["0029{OTHER}XX"]), ["00290011", "00291101"]),
        (remove("00290010"), ["00290010", "00290011", "00290012", "00291001", "00291002", "00291101", "00291201"]),
    ],
)
def test_a_private_creator_stays_as_long_as_one_of_its_elements(rule, left):
    result = run(engine(DeleteTags=[rule]), two_blocks())
    assert [f"{element.tag:08X}" for element in result if element.tag.is_private] == left


def test_a_sequence_can_be_deleted_and_its_neighbours_stay():
    dataset = Dataset()
    dataset.ReferencedImageSequence = Sequence([two_blocks()])
    dataset.PatientID = "P"
    result = run(engine(DeleteTags=[remove("ReferencedImageSequence")]), dataset)
    assert "ReferencedImageSequence" not in result
    assert result.PatientID == "P"


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_sequences_nested_ten_deep(undefined, syntax):
    dataset = Dataset()
    dataset.PatientName = "Doe^Jane"
    for _ in range(10):
        outer = Dataset()
        outer.ContentSequence = Sequence([dataset])
        outer["ContentSequence"].is_undefined_length = undefined
        dataset.is_undefined_length_sequence_item = undefined
        dataset = outer
    data = to_bytes(dataset, syntax)
    result = run(engine(RandomizeText=[{"TagPatterns": "+/PatientName"}]), data)
    for _ in range(10):
        (result,) = result.ContentSequence
    assert len(str(result.PatientName)) == 8


def test_what_is_in_an_un_sequence_is_implicit_and_found():
    inner = Dataset()
    inner.PatientName = "Doe^Jane"
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    sequence = Dataset()
    sequence.ReferencedImageSequence = Sequence([inner])
    pydicom.filewriter.write_dataset(buffer, sequence)
    value = buffer.getvalue()[8:]
    data = to_bytes(Dataset()) + b"\x08\x00\x40\x11UN\0\0" + len(value).to_bytes(4, "little") + value
    assert b"Doe^Jane" in data
    assert b"Doe^Jane" not in engine(RandomizeText=[{"TagPatterns": "*/{PN}"}]).deidentify(data).data


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_group_lengths_leave_sequences_that_no_rule_reaches_into(syntax, undefined):
    inner, outer, dataset = Dataset(), Dataset(), Dataset()
    inner.add_new(0x00080001, "UL", 7)
    inner.CodeValue = "C1"
    outer.ContentSequence = Sequence([inner])
    dataset.ProcedureCodeSequence = Sequence([outer])
    outer["ContentSequence"].is_undefined_length = undefined
    element = b"\x08\0%c\0" + (b"UL\4\0" if syntax is ExplicitVRLittleEndian else b"\4\0\0\0") + b"\7\0\0\0"
    data = to_bytes(dataset, syntax).replace(element % 1, element % 0)
    assert element % 0 in data
    result = engine().deidentify(data).data
    assert element % 0 not in result
    assert pydicom.dcmread(io.BytesIO(result)).ProcedureCodeSequence[0].ContentSequence[0].CodeValue == "C1"


def test_an_illegal_date_is_reported_for_every_instance_that_holds_it():
    deidentifier = engine(ShiftDateTime=[{"TagPatterns": "*/{DA}", "ShiftBy": 9, "ReuseMapping": "Always"}])
    item, dataset = Dataset(), Dataset()
    item.StudyDate = dataset.StudyDate = "20240101"
    dataset.ContentSequence = Sequence([item])
    data = to_bytes(dataset).replace(b"20240101", b"20241301")
    reports = [deidentifier.deidentify(data).report for _ in range(2)]
    assert [finding.path for finding in reports[0] if finding.notes] == ["StudyDate", "ContentSequence[0].StudyDate"]
    assert reports[0] == reports[1]


def test_preamble_ae_titles_group_lengths_and_trailing_bytes_do_not_leave():
    dataset = Dataset()
    dataset.PatientID = "P"
    data = to_bytes(dataset)
    length = b"\x10\x00\x00\x00UL\x04\x00\x0c\x00\x00\x00"
    place = data.index(b"\x10\x00\x20\x00LO")
    result = engine().deidentify(data[:place] + length + data[place:] + b"\0\0\0\0junk").data
    assert b"secret" not in result
    assert b"junk" not in result
    assert (0x0010, 0x0000) not in pydicom.dcmread(io.BytesIO(result))


def test_a_file_without_preamble_and_meta_gets_both():
    dataset = Dataset()
    dataset.PatientID = "P"
    data = to_bytes(dataset)
    bare = data[data.index(b"\x08\x00\x16\x00UI") :]
    result = run(engine(), bare)
    assert result.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert result.file_meta.MediaStorageSOPInstanceUID == "1.2.3"


@pytest.mark.parametrize("path", CHARACTER_SETS, ids=[path.name for path in CHARACTER_SETS])
def test_names_are_replaced_in_every_character_set(path):
    data = path.read_bytes()
    old = pydicom.dcmread(io.BytesIO(data), force=True)
    result = run(engine(RandomizeText=[{"TagPatterns": "*/{PN}", "Split": "^"}]), data)
    assert old.get("PatientName") is None or str(result.PatientName) != str(old.PatientName)
    assert str(result.get("PatientName", "")).isascii()


# --- one rule after another ------------------------------------------------------------------------------------------


def add(tag, vr, value, overwrite=True):
    return {"Tag": tag, "VR": vr, "Value": value, "OverwriteIfExists": overwrite}


@pytest.mark.parametrize(
    ("transformations", "expected"),
    [
        ({"AddTags": [add("PatientComments", "LT", "x")], "DeleteTags": [remove("PatientComments")]}, None),
        ({"AddTags": [add("PatientComments", "LT", "x")], "DeleteTags": [remove("{LT}")]}, None),
        (
            {
                "AddTags": [add("PatientComments", "LT", "x")],
                "DeleteTags": [{"TagPatterns": "{LT}", "Action": "Empty"}],
            },
            "",
        ),
        ({"AddTags": [add("PatientComments", "LT", "x"), add("PatientComments", "LT", "y")]}, "y"),
        ({"AddTags": [add("PatientComments", "LT", "x"), add("PatientComments", "LT", "y", False)]}, "x"),
        (
            {
                "RandomizeText": [{"TagPatterns": "PatientComments"}],
                "AddTags": [add("PatientComments", "LT", "z", False)],
            },
            None,
        ),
    ],
)
def test_rules_act_on_what_earlier_ones_left(transformations, expected):
    result = run(engine(**transformations), Dataset())
    if "RandomizeText" in transformations:
        expected = "z"
    assert result.get("PatientComments") == expected


def test_text_is_randomised_after_dates_are_shifted():
    dataset = Dataset()
    dataset.StudyDate = "20240131"
    result = run(
        engine(
            ShiftDateTime=[{"TagPatterns": "StudyDate", "ShiftBy": 5, "ReuseMapping": "Always"}],
            RandomizeText=[{"TagPatterns": "StudyDate", "ReuseMapping": "Always"}],
        ),
        dataset,
    )
    assert result.StudyDate not in {f"202401{day}" for day in range(26, 32)}
    assert len(result.StudyDate) == 8


def test_intervals_and_times_of_day_survive():
    dataset = Dataset()
    dataset.PatientID, dataset.StudyDate, dataset.SeriesDate = "P", "20240131", "20240210"
    dataset.AcquisitionDateTime, dataset.StudyTime = "20240131101112.5+0100", "1011"
    rule = {"TagPatterns": "*/*", "ShiftBy": 300, "PreserveIntervals": True, "ReuseMapping": "SamePatient"}
    result = run(engine(ShiftDateTime=[rule]), dataset)
    assert result.StudyDate != "20240131"
    assert result.AcquisitionDateTime == f"{result.StudyDate}101112.5+0100"
    assert result.StudyTime == "1011"
    moved = [pydicom.valuerep.DA(value) for value in (result.StudyDate, result.SeriesDate)]
    assert (moved[1] - moved[0]).days == 10


def test_what_is_no_date_is_emptied_and_reported():
    dataset = Dataset()
    with pydicom.config.disable_value_validation():
        dataset.StudyDate = "yesterday"
        data = to_bytes(dataset)
    outcome = engine(ShiftDateTime=[{"TagPatterns": "*/{DA}", "ShiftBy": 5}]).deidentify(data)
    assert b"yesterday" not in outcome.data
    assert [finding.notes for finding in outcome.report] == [("no legal date or time: emptied",)]


def test_split_replaces_each_part():
    dataset = Dataset()
    dataset.PatientName, dataset.OtherPatientNames = "Doe^Jane", "Jane^Doe"
    rule = {"TagPatterns": "*/{PN}", "Split": "^", "ReuseMapping": "Always"}
    result = run(engine(RandomizeText=[rule]), dataset)
    assert str(result.PatientName).split("^") == str(result.OtherPatientNames).split("^")[::-1]


def test_an_empty_patient_id_never_merges_strangers():
    mappings = MemoryMappings()
    names = []
    for number in (1, 2):
        dataset = Dataset()
        dataset.PatientID, dataset.PatientName, dataset.StudyInstanceUID = "", "Doe^Jane", f"1.{number}"
        outcome = engine(
            mappings, RandomizeText=[{"TagPatterns": "PatientName", "ReuseMapping": "SamePatient"}]
        ).deidentify(to_bytes(dataset))
        names.append(str(pydicom.dcmread(io.BytesIO(outcome.data)).PatientName))
        assert any("SamePatient has no value" in note for finding in outcome.report for note in finding.notes)
    assert names[0] != names[1]


ALL = {
    "ShiftDateTime": [{"TagPatterns": ["*/{DA}", "*/{TM}", "*/{DT}"], "ShiftBy": 1000}],
    "RandomizeText": [
        {"TagPatterns": ["*/{PN}", "*/{LO}", "*/{LT}"], "ReuseMapping": "SamePatient"},
        {"TagPatterns": "*/{SH}", "Split": " "},
    ],
    "RandomizeUID": [{"TagPatterns": "*/*InstanceUID"}],
    "AddTags": [add("PatientIdentityRemoved", "CS", "YES")],
    "DeleteTags": [remove("*/XXX@XXXX"), {"TagPatterns": "*/*Description", "Action": "Empty"}],
}


def test_two_workers_make_one_study_and_a_third_run_gives_the_same(ingest_database):
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    files = []
    for number in range(12):
        dataset.SOPInstanceUID = f"1.2.3.{number}"
        files.append(to_bytes(dataset))
    results: dict[int, bytes] = {}

    def work(numbers):
        worker = engine(PostgresMappings(ingest_database.login("rpacs_deidentifier")), **ALL)
        for number in numbers:
            results[number] = worker.deidentify(files[number]).data

    threads = [threading.Thread(target=work, args=(range(first, 12, 2),)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = [pydicom.dcmread(io.BytesIO(data)) for data in results.values()]
    assert len({(each.StudyInstanceUID, each.SeriesInstanceUID, each.PatientID) for each in read}) == 1
    assert len({each.SOPInstanceUID for each in read}) == 12
    first = dict(results)
    work(range(12))
    assert results == first


# --- damage and secrecy ----------------------------------------------------------------------------------------------


def damaged(count: int):
    generator = random.Random(1)
    samples = [path.read_bytes() for path in sorted((DATA / "test_files").glob("*.dcm"))]
    samples = [data for data in samples if len(data) < 100_000]
    for number in range(count):
        data = bytearray(generator.choice(samples))
        if number % 2:
            del data[generator.randrange(len(data)) // 97 * 97 :]
        else:
            for _ in range(generator.randint(1, 8)):
                data[generator.randrange(len(data))] = generator.randrange(256)
        yield bytes(data)


def test_damaged_files_give_a_typed_error_or_a_file_that_can_be_scanned_again():
    deidentifier = engine(**ALL)
    again = engine()
    outcomes = set()
    for data in damaged(1500):
        try:
            result = deidentifier.deidentify(data).data
        except PermanentError as exc:
            outcomes.add(type(exc))
            continue
        again.deidentify(result)
        outcomes.add("result")
    assert outcomes == {InvalidDicomError, "result"}


def test_a_deflated_bomb_is_refused():
    dataset = Dataset()
    dataset.PixelData = bytes(3_000_000)
    dataset["PixelData"].VR = "OB"
    data = to_bytes(dataset, pydicom.uid.DeflatedExplicitVRLittleEndian)
    small = Deidentifier(load_rules("Labels: []\nScopeToForward: {Labels: ALL}\nTransformations: []"), MemoryMappings())
    small._max_inflated = 1_000_000
    with pytest.raises(InvalidDicomError, match="larger than 1000000 bytes"):
        small.deidentify(data)


def test_identifiers_appear_in_no_log_and_no_error(caplog):
    caplog.set_level(logging.DEBUG)
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientName, dataset.PatientID, dataset.StudyDescription = "ZZMARK^A", "ZZMARK1", "ZZMARK2"
    data = to_bytes(dataset)
    deidentifier = engine(**ALL)
    texts = [repr(deidentifier.deidentify(data).report)]
    for end in range(400, len(data), 97):
        try:
            texts.append(repr(deidentifier.deidentify(data[:end]).report))
        except PermanentError as exc:
            texts.append(repr(exc))
    assert "ZZMARK" not in "".join([*texts, caplog.text])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert b"ZZMARK" not in deidentifier.deidentify(data).data
