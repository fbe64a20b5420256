"""Small DICOM instances built in code, and how to put them into an Orthanc."""

from __future__ import annotations

import io
from typing import Any

import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from demo.servers.orthanc import OrthancServer


def make_instance(**elements: Any) -> bytes:
    """Return a Part 10 file of an 8 × 8 image with some elements."""
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.PatientID, dataset.PatientName, dataset.Modality = "P1", "Doe^Jane", "CT"
    dataset.StudyDescription, dataset.InstanceNumber = "chest", 1
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = bytes(range(64))
    dataset.update({})
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def store(orthanc: OrthancServer, data: bytes) -> dict[str, str]:
    """Upload an instance; returns Orthanc's answer, with ``ID``, ``ParentSeries`` and so on."""
    answer = requests.post(f"{orthanc.url}/instances", data=data, auth=orthanc.auth, timeout=30)
    answer.raise_for_status()
    stored: dict[str, str] = answer.json()
    return stored
