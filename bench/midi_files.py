"""A collection of invented studies with an answer key, in the manner of the MIDI-B benchmark.

Each file knows what de-identification must do with it: a list of checks, each of an action type.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "PT": "1.2.840.10008.5.1.4.1.1.128",
           "CR": "1.2.840.10008.5.1.4.1.1.1", "MG": "1.2.840.10008.5.1.4.1.1.1.2", "US": "1.2.840.10008.5.1.4.1.1.6.1",
           "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3"}  # fmt: skip
ROOT = "1.3.6.1.4.1.99999.7."
FAMILY = (
    "Abernathy",
    "Quimby",
    "Thistlewood",
    "Castellano",
    "Lindqvist",
    "Petrovsky",
    "Nakamura",
    "Oyelaran",
    "Vandermeer",
)
GIVEN = ("Zoe", "Bartholomew", "Guadalupe", "Ingrid", "Yusuf", "Anneliese", "Kenji", "Siobhan", "Lorenzo", "Marguerite")
DESCRIPTIONS = {"CT": ("CT Thorax", "axial 1.25mm"), "MR": ("MR brain", "T1 sagittal"), "PT": ("PET whole body", "FDG"),
                "CR": ("Chest", "PA"), "MG": ("Mammography", "MLO left"), "US": ("Ultrasound abdomen", "liver"),
                "RTSTRUCT": ("RT planning", "contours")}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One entry of the answer key: an action type, the element's keyword (dots between levels), a value."""

    action: str
    path: str
    value: Any = None


@dataclass
class Made:
    """A file of the collection."""

    dataset: Dataset
    patient: int
    checks: list[Check] = field(default_factory=list)
    box: tuple[int, int, int, int] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """What tells the file after de-identification, too."""
        return int(self.dataset.SeriesNumber), int(self.dataset.InstanceNumber)


_RETAINED = {
    "CT": {"KVP": "120", "ConvolutionKernel": "B30f", "SliceThickness": "1.25", "RescaleSlope": "1", "RescaleIntercept":
        "-1024", "ImagePositionPatient": [-100.5, 20.25, 7], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]},
    "MR": {"MagneticFieldStrength": "3", "EchoTime": "2.5", "RepetitionTime": "1900", "SliceThickness": "1",
        "ScanningSequence": "GR", "SequenceVariant": "SP", "ScanOptions": "PFP", "MRAcquisitionType": "3D",
        "EchoTrainLength": "1", "ImagePositionPatient": [-100.5, 20.25, 7],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM"]},
    "PT": {"Units": "BQML", "DecayCorrection": "START", "SliceThickness": "3", "CountsSource": "EMISSION",
        "ImagePositionPatient": [-100.5, 20.25, 7], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "FrameReferenceTime": "1500", "SeriesType": ["STATIC", "IMAGE"], "RescaleSlope": "2", "RescaleIntercept": "0",
        "CorrectedImage": ["DECY", "ATTN"], "ImageIndex": 1, "ImageType": ["ORIGINAL", "PRIMARY"]},
    "CR": {"KVP": "60", "ViewPosition": "PA", "ImageType": ["ORIGINAL", "PRIMARY"]},
    "MG": {"KVP": "28", "ImageLaterality": "L", "BodyPartThickness": "52", "ImageType": ["ORIGINAL", "PRIMARY"]},
    "US": {"TransducerData": "C5-1", "ImageType": ["ORIGINAL", "PRIMARY"]},
    "RTSTRUCT": {"ApprovalStatus": "UNAPPROVED"},
}  # fmt: skip


def _day(draw: random.Random) -> str:
    return f"{date(2015, 1, 1) + timedelta(days=draw.randrange(2500)):%Y%m%d}"


def _identify(made: Made, draw: random.Random, study: int) -> None:
    """Give a file its identifiers, and say what has to become of them."""
    dataset, number = made.dataset, made.patient
    family, given = FAMILY[number % len(FAMILY)], GIVEN[number // len(FAMILY) % len(GIVEN)]
    mrn, accession = f"MRN{7_000_000 + number}", f"ACC{500_000 + study}"
    values = {
        "PatientName": f"{family}^{given}", "PatientID": mrn, "AccessionNumber": accession,
        "InstitutionName": "Saint Ethelburga Infirmary", "InstitutionAddress": "7 Kirkstall Crescent",
        "ReferringPhysicianName": "Featherstonehaugh^Cuthbert", "OperatorsName": "Zwingli^Ursula",
        "StationName": "ETHELCT7", "PatientAddress": "12 Nowhere Lane", "OtherPatientIDs": f"OLD{mrn}",
        "PatientTelephoneNumbers": "+44 113 496 0000", "RequestingPhysician": "Gascoigne^Hyacinth",
        "DeviceSerialNumber": "SN-88123", "PerformedProcedureStepID": f"PPS{accession}",
        "MilitaryRank": "Wing Commander", "PatientMotherBirthName": "Ravenscroft",
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
        made.checks.append(Check("text_removed", keyword, value))
    dataset.PatientBirthDate = f"{1930 + number % 60}0{1 + number % 9}1{number % 9}"
    made.checks.append(Check("text_removed", "PatientBirthDate", str(dataset.PatientBirthDate)))
    made.checks += [Check("text_notnull", keyword) for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID")]
    made.checks.append(Check("patid_consistent", "PatientID", mrn))
    _describe(made, f"{given} {family}", mrn, draw)
    dataset.RequestAttributesSequence = [_item(RequestedProcedureID=f"RP{accession}", ScheduledProcedureStepID="SPS1")]
    made.checks.append(Check("text_removed", "RequestAttributesSequence.RequestedProcedureID", f"RP{accession}"))
    block = dataset.private_block(0x0029, "ETHEL HEADER", create=True)
    block.add_new(0x10, "LO", f"for {given} {family}")
    made.checks.append(Check("text_removed", "00291010", family))


def _describe(made: Made, name: str, mrn: str, draw: random.Random) -> None:
    dataset = made.dataset
    study, series = DESCRIPTIONS[str(dataset.Modality)]
    dataset.StudyDescription, dataset.SeriesDescription = f"{study} {name}", f"{series} {mrn}"
    dataset.ProtocolName = series
    dataset.PatientComments = (
        f"{name} lives at 12 Nowhere Lane, born {dataset.get('PatientBirthDate', '')}, call 0113 4960000"
    )
    for keyword, kept in (("StudyDescription", study), ("SeriesDescription", series), ("ProtocolName", series)):
        made.checks.append(Check("text_retained", keyword, kept))
    for keyword, gone in (("StudyDescription", name), ("SeriesDescription", mrn), ("PatientComments", name),
                          ("PatientComments", "Nowhere")):  # fmt: skip
        made.checks.append(Check("text_removed", keyword, gone))


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _date(made: Made, study_date: str) -> None:
    dataset = made.dataset
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, keyword, study_date)
        made.checks.append(Check("date_shifted", keyword, study_date))
    dataset.StudyTime, dataset.SeriesTime = "101112", "101500"
    dataset.AcquisitionTime = dataset.ContentTime = "102000"
    dataset.AcquisitionDateTime = f"{study_date}102000"
    made.checks.append(Check("date_shifted", "AcquisitionDateTime", f"{study_date}102000"))


def _draw_pixels(made: Made, draw: random.Random, burn: bool) -> None:
    dataset = made.dataset
    size, bits = (320, 8) if burn else (32, 16)
    pixels = np.random.default_rng(draw.randrange(2**32)).integers(0, 60 if burn else 2000, (size, size))
    if burn:
        image = Image.new("L", (size, size))
        text = str(dataset.PatientName).replace("^", " ")
        font = ImageFont.load_default(18)
        ImageDraw.Draw(image).text((20, 20), text, fill=255, font=font)
        left, top, right, bottom = ImageDraw.Draw(image).textbbox((20, 20), text, font=font)
        made.box = (int(left), int(top), int(right) + 1, int(bottom) + 1)
        pixels = np.where(np.asarray(image) > 0, np.asarray(image), np.zeros_like(pixels) + 10)
        pixels[size // 2 :, :] = np.arange(size)[None, :] % 60 + 20
        made.checks += [Check("pixels_hidden", "PixelData", text)]
    made.checks.append(Check("pixels_retained", "PixelData"))
    dataset.Rows = dataset.Columns = size
    dataset.SamplesPerPixel, dataset.PixelRepresentation, dataset.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelData = pixels.astype(np.uint8 if bits == 8 else np.uint16).tobytes()
    for keyword in ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"):
        made.checks.append(Check("tag_retained", keyword, dataset[keyword].value))


def _uid(made: Made, keyword: str, uid: str) -> None:
    setattr(made.dataset, keyword, uid)
    made.checks += [Check("uid_changed", keyword, uid), Check("uid_consistent", keyword, uid)]


def _make(
    modality: str, patient: int, study: int, series: int, number: int, draw: random.Random, day: str, burn: bool
) -> Made:
    made = Made(Dataset(), patient)
    dataset = made.dataset
    dataset.SOPClassUID, dataset.Modality = CLASSES[modality], modality
    _uid(made, "SOPInstanceUID", f"{ROOT}{study}.{series}.{number}")
    _uid(made, "StudyInstanceUID", f"{ROOT}{study}")
    _uid(made, "SeriesInstanceUID", f"{ROOT}{study}.{series}")
    if modality in ("CT", "MR", "PT", "RTSTRUCT"):
        _uid(made, "FrameOfReferenceUID", f"{ROOT}{study}.9999")
        dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.Manufacturer = str(series), str(number), "SIEMENS"
    dataset.PatientSex, dataset.PatientAge, dataset.StudyID, dataset.PatientWeight = "F", "061Y", f"S{study}", "71.5"
    _identify(made, draw, study)
    _date(made, day)
    for keyword, value in {
        **_RETAINED[modality],
        "PatientSex": "F",
        "PatientAge": "061Y",
        "Modality": modality,
    }.items():
        setattr(dataset, keyword, value)
        made.checks.append(Check("tag_retained", keyword, dataset[keyword].value))
    if modality != "RTSTRUCT":
        _draw_pixels(made, draw, burn)
        if modality in ("CT", "MR", "PT"):
            dataset.PixelSpacing = [0.7, 0.7]
            reference = f"{ROOT}{study}.{series}.{3 - number}"
            dataset.ReferencedImageSequence = [
                _item(ReferencedSOPClassUID=CLASSES[modality], ReferencedSOPInstanceUID=reference)
            ]
            path = "ReferencedImageSequence.ReferencedSOPInstanceUID"
            made.checks += [Check("uid_changed", path, reference), Check("uid_consistent", path, reference)]
    return made


def make_collection(series: int, burned: int, seed: int = 1) -> Iterator[Made]:
    """Yield the files: three series a patient in two studies, two instances a series."""
    draw = random.Random(seed)
    modalities = ("CT", "MR", "PT", "CT", "MG", "MR", "CR", "CT", "PT")
    days: dict[int, str] = {}
    for number in range(1, series - burned + 1):
        patient = (number - 1) // 3
        study = patient * 2 + (number - 1) % 3 // 2
        day = days.setdefault(study, _day(draw))
        for instance in (1, 2):
            yield _make(modalities[number % 9], patient, study, number, instance, draw, day, False)
    for number in range(series - burned + 1, series + 1):
        yield _make("US", number, 10_000 + number, number, 1, draw, _day(draw), True)


def write(made: Made, folder: Path) -> Path:
    """Write a file; every third one in implicit VR."""
    dataset = made.dataset
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if made.key[0] % 3 == 0 else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    dataset.file_meta = meta
    path = folder / f"{made.key[0]:04}-{made.key[1]}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path
