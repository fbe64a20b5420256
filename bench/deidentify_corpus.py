"""CT images to measure with: 512 × 512, about 100 elements, nested sequences, 20 private elements."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
SLICES = 100
"""Instances of a series."""

_STRINGS = {
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "Modality": "CT",
    "Manufacturer": "Maker",
    "InstitutionName": "General",
    "InstitutionAddress": "1 Main Street",
    "ReferringPhysicianName": "Referrer^Rita",
    "StationName": "CT01",
    "StudyDescription": "CT chest",
    "SeriesDescription": "axial 1.0",
    "InstitutionalDepartmentName": "Radiology",
    "PerformingPhysicianName": "Performer^Paul",
    "OperatorsName": "Operator^Olga",
    "ManufacturerModelName": "Model 7",
    "PatientSex": "F",
    "PatientAge": "061Y",
    "EthnicGroup": "unknown",
    "PatientComments": "none",
    "BodyPartExamined": "CHEST",
    "ScanOptions": "HELICAL",
    "SliceThickness": "1.0",
    "KVP": "120",
    "DataCollectionDiameter": "500",
    "DeviceSerialNumber": "4711",
    "SoftwareVersions": "9.1",
    "ProtocolName": "Chest routine",
    "ReconstructionDiameter": "350",
    "DistanceSourceToDetector": "1085.6",
    "DistanceSourceToPatient": "595",
    "GantryDetectorTilt": "0",
    "TableHeight": "150",
    "RotationDirection": "CW",
    "ExposureTime": "500",
    "XRayTubeCurrent": "200",
    "Exposure": "100",
    "FilterType": "WEDGE_2",
    "GeneratorPower": "24",
    "FocalSpots": ["0.7", "0.8"],
    "ConvolutionKernel": "B30f",
    "PatientPosition": "HFS",
    "StudyID": "S1",
    "SeriesNumber": "3",
    "AcquisitionNumber": "1",
    "ImagePositionPatient": ["-175", "-175", "10"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "PositionReferenceIndicator": "SN",
    "SliceLocation": "10",
    "ImageComments": "",
    "PixelSpacing": ["0.68", "0.68"],
    "WindowCenter": ["40", "-600"],
    "WindowWidth": ["400", "1200"],
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "RescaleType": "HU",
    "RequestingPhysician": "Requester^Rob",
    "RequestedProcedureDescription": "CT chest",
    "PerformedProcedureStepID": "P1",
    "CurrentPatientLocation": "Ward 3",
    "PerformedProcedureStepDescription": "CT chest",
    "AdmissionID": "A77",
    "PatientWeight": "70",
    "PatientSize": "1.7",
    "TimezoneOffsetFromUTC": "+0100",
    "LossyImageCompression": "00",
    "BurnedInAnnotation": "NO",
    "CountryOfResidence": "X",
}
_DATES = ("InstanceCreationDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "PatientBirthDate")
_TIMES = ("InstanceCreationTime", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime")
_REFERENCES = (
    "ReferencedStudySequence", "ReferencedPerformedProcedureStepSequence", "ReferencedImageSequence",
    "SourceImageSequence",
)  # fmt: skip


def _reference(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def ct_slice(number: int, seed: int = 1) -> bytes:
    """Return the bytes of one image; 100 neighbours make a series of one patient."""
    series, place = divmod(number, SLICES)
    uid = [f"1.2.826.0.1.3680043.9.{seed}.{series}"]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CT_CLASS, f"{uid[0]}.3.{place}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.SourceApplicationEntityTitle = "SCANNER"
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT_CLASS, f"{uid[0]}.3.{place}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{uid[0]}.1", f"{uid[0]}.2"
    dataset.FrameOfReferenceUID = f"{uid[0]}.4"
    dataset.PatientName, dataset.PatientID = f"Doe{seed}^Jane{series}", f"PID{seed}-{series}"
    dataset.AccessionNumber = f"ACC{seed}{series}"
    dataset.InstanceNumber = place + 1
    for keyword, value in _STRINGS.items():
        setattr(dataset, keyword, value)
    for keyword in _DATES:
        setattr(dataset, keyword, "20240131")
    for keyword in _TIMES:
        setattr(dataset, keyword, f"1030{place % 60:02}.5")
    for kind, keyword in enumerate(_REFERENCES, 10):
        setattr(dataset, keyword, Sequence([_reference(CT_CLASS, f"{uid[0]}.5.{kind}{place % 2}")]))
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepDescription = "R1", "CT chest"
    request.ScheduledProcedureStepStartDate = "20240131"
    request.ScheduledProtocolCodeSequence = Sequence([_code("169069000", "CT of chest")])
    dataset.RequestAttributesSequence = Sequence([request])
    dataset.ProcedureCodeSequence = Sequence([_code("169069000", "CT of chest")])
    block = dataset.private_block(0x0029, "MAKER CT HEADER", create=True)
    for element in range(20):
        block.add_new(element, "LO" if element % 2 else "UN", "private text" if element % 2 else b"private bytes 16")
    _add_pixels(dataset, np.random.default_rng(number).integers(0, 4096, (512, 512), dtype=np.uint16))
    return _bytes(dataset)


def _add_pixels(dataset: Dataset, pixels: np.ndarray) -> None:
    colour = pixels.shape[-1] == 3
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
        dataset.NumberOfFrames = pixels.shape[0]
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if colour else pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if colour else "OW"


def large_image(kind: str) -> bytes:
    """Return a multi-frame image (``frames``: 20 × 640 × 480 RGB) or a radiograph (``radiograph``: 2048 × 2048)."""
    dataset = pydicom.dcmread(io.BytesIO(ct_slice(0)))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    generator = np.random.default_rng(1)
    if kind == "frames":
        _add_pixels(dataset, generator.integers(0, 256, (20, 480, 640, 3), dtype=np.uint8))
    else:
        _add_pixels(dataset, generator.integers(0, 4096, (2048, 2048), dtype=np.uint16))
    return _bytes(dataset)


def _bytes(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_corpus(folder: Path, files: int, seed: int = 1) -> list[Path]:
    """Write images into a folder."""
    folder.mkdir(parents=True)
    paths = [folder / f"{number:05}.dcm" for number in range(files)]
    for number, path in enumerate(paths):
        path.write_bytes(ct_slice(number, seed))
    return paths
