"""Small instances built in code, always through bytes."""

from __future__ import annotations

import io

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def make_slice(
    number: int = 1,
    *,
    series: int = 1,
    patient: str = "P1",
    rows: int = 8,
    comment: str = "",
    sop_instance_uid: str = "",
    root: str = "1.2.826.0.1.3680043.8.498.",
) -> bytes:
    """Return a CT slice as a DICOM file; the same arguments give the same identity."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = sop_instance_uid or generate_uid(root, [f"{root}{patient}/{series}/{number}"])
    dataset.StudyInstanceUID = generate_uid(root, [f"{root}{patient}/study"])
    dataset.SeriesInstanceUID = generate_uid(root, [f"{root}{patient}/{series}"])
    dataset.PatientID, dataset.PatientName = patient, f"Doe^{patient}"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20240102", "101112", "A1"
    dataset.StudyID, dataset.ReferringPhysicianName = "S1", "Ref^Doc"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "CT", series, number
    dataset.SeriesDescription = "THORAX"
    if comment:
        dataset.ImageComments = comment
    dataset.Rows = dataset.Columns = rows
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = (np.arange(rows * rows) + number).astype("<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
