"""The rules that come with the product: held to table E.1-1 of PS3.15, and tried on real files."""

import csv
import io
import re

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from common.errors import QuarantineError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.profiles.tables import read_safe_private
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES

# What stays although the Basic Profile takes it away: characteristics of the patient.
KEPT = {"PatientSex", "PatientAge", "PatientSize", "PatientWeight", "SmokingStatus", "PregnancyStatus",
        "PatientSexNeutered", "SelectorASValue"}  # fmt: skip
CONTAINER = "SourceImageSequence"

MARKS = {
    "AE": "MARKEDAE", "AS": "077Y", "CS": "MARKEDCS", "DA": "19770304", "DS": "7.654321", "DT": "19770304112233",
    "IS": "7654321", "LO": "Marked LO", "LT": "Marked LT", "OB": b"Marked OB!", "PN": "Marked^Name", "SH": "Marked SH",
    "ST": "Marked ST", "TM": "112233", "UC": "Marked UC", "UI": "1.3.6.1.4.1.7.7.7", "UN": b"Marked UN!",
    "UR": "http://marked", "US": 54321, "UT": "Marked UT",
}  # fmt: skip


@pytest.fixture(scope="module")
def deidentifier():
    return Deidentifier(load_rules(DEFAULT_RULES.read_bytes()), MemoryMappings())


@pytest.fixture(scope="module")
def table(root):
    """Return the keywords of table E.1-1 that are in the dictionary, with their VR."""
    with open(root / "deidentifier" / "profiles" / "confidentiality.csv") as file:
        lines = [line for line in file if not line.startswith("#")]
    tags = [row["Tag"] for row in csv.DictReader(lines)]
    known = [int(tag, 16) for tag in tags if re.fullmatch("[0-9A-Fa-f]{8}", tag)]
    return {
        keyword_for_tag(tag): dictionary_VR(tag) for tag in known if keyword_for_tag(tag) and tag >> 16 not in (0, 2, 4)
    }


def to_bytes(dataset, sop_class=CTImageStorage):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SOPClassUID = sop_class
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def marked(table):
    """Return a data set with every attribute of the table, each with a marked value."""
    dataset = Dataset()
    for keyword, vr in table.items():
        if vr == "SQ":
            item = Dataset()
            item.CodeValue = "QUUXMARK"
            setattr(dataset, keyword, Sequence([item]))
        elif keyword != "EncapsulatedDocument":  # such a file is not sent on at all
            setattr(dataset, keyword, MARKS[vr])
    return dataset


def survivors(result, table):
    """Yield the attributes whose marked value is still there."""
    for keyword, vr in table.items():
        if keyword in result:
            element = result[keyword]
            if vr == "SQ":
                yield from [keyword] if len(element.value) and element.value[0].get("CodeValue") == "QUUXMARK" else []
            elif element.value == MARKS[vr]:
                yield keyword


def test_every_attribute_of_the_basic_profile_is_handled_at_every_depth(deidentifier, table):
    assert len(table) > 550
    top, inner = marked(table), marked(table)
    setattr(inner, CONTAINER, Sequence([]))
    setattr(top, CONTAINER, Sequence([inner]))
    result = pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(top)).data))
    allowed = {keyword for keyword, vr in table.items() if vr == "TM"} | KEPT
    for dataset, more in ((result, set()), (result[CONTAINER].value[0], {"PatientAge"})):
        left = set(survivors(dataset, table))
        assert left - allowed == set()
        assert not left & more


def test_what_stays_on_purpose_does_stay(deidentifier, table):
    result = pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(marked(table))).data))
    assert set(survivors(result, table)) >= KEPT


@pytest.mark.parametrize(
    ("age", "kept"), [("089Y", True), ("090Y", False), ("101Y", False), ("90Y", False), ("011M", True)]
)
def test_ages_from_90_on_go(deidentifier, age, kept):
    dataset = Dataset()
    dataset.SOPInstanceUID = "1.2.3"
    with pydicom.config.disable_value_validation():
        dataset.PatientAge = age
    result = pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(dataset)).data))
    assert (result.PatientAge == age) is kept


@pytest.mark.parametrize(
    ("keyword", "value", "read"),
    [
        ("Modality", "US", True),
        ("BurnedInAnnotation", "YES", True),
        ("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"], True),
        ("ConversionType", "WSD", True),
        ("Modality", "CT", False),
    ],
)
def test_text_is_looked_for_where_images_may_show_it(deidentifier, keyword, value, read):
    dataset = Dataset()
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows = dataset.Columns = 32
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 8, 8, 7
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = 0, "MONOCHROME2"
    dataset.PixelData = bytes(32 * 32)
    setattr(dataset, keyword, value)
    result = pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(dataset)).data))
    codes = {code.CodeValue for code in result.DeidentificationMethodCodeSequence}
    assert ("113101" in codes) is read
    assert codes >= {"113100", "113105", "113107", "113108", "113111"}


def test_documents_and_private_classes_are_quarantined(deidentifier):
    dataset = Dataset()
    dataset.SOPInstanceUID = "1.2.3"
    for sop_class in ("1.2.840.10008.5.1.4.1.1.104.1", "1.3.12.2.1107.5.9.1"):
        with pytest.raises(QuarantineError):
            deidentifier.deidentify(to_bytes(dataset, sop_class))


def test_dates_of_a_patient_move_together_and_times_stay(deidentifier):
    def study(day):
        dataset = Dataset()
        dataset.SOPInstanceUID = f"1.2.3.{day}"
        dataset.PatientID = "P77"
        dataset.StudyDate = f"202001{day:02}"
        dataset.AcquisitionDateTime = f"202001{day:02}101112"
        dataset.StudyTime = "101112"
        return pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(dataset)).data))

    first, second = study(3), study(10)
    assert first.StudyDate != "20200103"
    days = pydicom.valuerep.DA(second.StudyDate) - pydicom.valuerep.DA(first.StudyDate)
    assert days.days == 7
    assert first.AcquisitionDateTime == f"{first.StudyDate}101112"
    assert first.StudyTime == "101112"
    assert first.PatientID == second.PatientID != "P77"


def identifiers(dataset):
    """Yield the values of a file that name a person, a place or a number of theirs, at every depth."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from identifiers(item)
        elif element.VR == "PN" or element.keyword in {
            "PatientID", "AccessionNumber", "InstitutionName", "InstitutionAddress", "StationName", "StudyInstanceUID",
            "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "DeviceSerialNumber", "OtherPatientIDs",
            "PatientAddress", "PatientBirthDate", "StudyID",
        }:  # fmt: skip
            values = element.value if element.VM > 1 else [element.value]
            for value in values:
                text = str(value).strip()
                if len(text) >= 6 and len(set(text)) > 2:
                    yield text


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "rtstruct.dcm", "reportsi.dcm", "test-SR.dcm", "JPEG2000.dcm",
     "image_dfl.dcm", "ExplVR_BigEnd.dcm", "waveform_ecg.dcm", "liver.dcm"],
)  # fmt: skip
def test_no_identifier_of_a_sample_file_survives(deidentifier, name):
    with open(get_testdata_file(name), "rb") as file:
        data = file.read()
    original = pydicom.dcmread(io.BytesIO(data), force=True)
    outcome = deidentifier.deidentify(data)
    result = pydicom.dcmread(io.BytesIO(outcome.data))
    if "PixelData" in result:
        del result.PixelData
    left = "\n".join(f"{element.keyword} {element.value}" for element in result.iterall())
    technical = str(original.get("Manufacturer"))  # some hospitals in the samples are called as their scanner
    assert [text for text in set(identifiers(original)) if text in left and text not in technical] == []
    safe = read_safe_private()
    private = [each for each in result.iterall() if each.tag.is_private and not each.tag.is_private_creator]
    assert all((each.private_creator, each.tag.group, each.tag.elem & 0xFF) in safe for each in private)
