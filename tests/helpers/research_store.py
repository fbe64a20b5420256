"""A small research store: instances of every kind that the portal must show, built in code or taken from pydicom."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from common.orthanc import Orthanc
from website.index import Index, build_document

SCRIPT = "<script>document.title='stolen'</script><img src=x onerror=\"document.title='stolen'\">"
_ROOT = "1.2.826.0.1.3680043.8.498.7"


def make_instance(patient: int, study: int, series: int, instance: int, **elements: Any) -> bytes:
    """Build an image instance; its UIDs follow from the numbers."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    uid = f"{_ROOT}.{patient}.{study}.{series}.{instance}"
    modality = elements.get("Modality", "CT")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = (
        MRImageStorage if modality == "MR" else CTImageStorage
    )
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
        f"{_ROOT}.{patient}.{study}",
        f"{_ROOT}.{patient}.{study}.{series}",
    )
    dataset.PatientID, dataset.PatientName, dataset.PatientSex = f"P{patient}", f"Subject^{patient}", "F"
    dataset.Modality, dataset.StudyDate = modality, f"20{18 + study:02}0315"
    dataset.StudyDescription, dataset.SeriesDescription = "Chest", f"Axial {series}"
    dataset.SeriesNumber, dataset.InstanceNumber = series, instance
    dataset.Rows = dataset.Columns = 64
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.WindowCenter, dataset.WindowWidth = "500", "1000"
    dataset.PixelData = _picture(instance).tobytes()
    item = Dataset()
    item.ScheduledProcedureStepID = f"STEP{instance}"
    dataset.RequestAttributesSequence = Sequence([item])
    for name, value in elements.items():
        setattr(dataset, name, value)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _picture(instance: int) -> np.ndarray:
    """Draw a disc whose place tells the instance."""
    rows, columns = np.mgrid[0:64, 0:64]
    disc = (rows - 32) ** 2 + (columns - 12 - 4 * (instance % 10)) ** 2 < 100
    return np.where(disc, 900, rows * 4 + columns * 2).astype(np.uint16)


def multi_frame(**elements: Any) -> bytes:
    """Build an instance of four frames, each of one grey: 10, 90, 170, 250."""
    frames = np.stack([np.full((64, 64), value, dtype=np.uint16) for value in (10, 90, 170, 250)])
    given = {"NumberOfFrames": 4, "PixelData": frames.tobytes(), "WindowCenter": "128", "WindowWidth": "256"}
    return make_instance(
        3, 3, 1, 1, **{**given, "StudyDescription": "Cine", "SeriesDescription": "Beating", **elements}
    )


def sample(name: str) -> bytes:
    """Return one of pydicom's own files."""
    path = get_testdata_file(name, download=False)
    if path is None:
        raise LookupError(f"{name} is not among the installed sample files")
    return Path(str(path)).read_bytes()


def mixed_files() -> list[bytes]:
    """Return a store with CT, MR, a series that holds both permitted and forbidden instances, script, and JPEG 2000."""
    return [
        *(make_instance(1, 1, 1, number) for number in (1, 2, 3)),
        *(make_instance(1, 2, 1, number, Modality="MR", StudyDescription="Knee") for number in (1, 2)),
        make_instance(2, 4, 1, 1, StudyDescription="Mixed series"),
        make_instance(2, 4, 1, 2, StudyDescription="Mixed series", Modality="MR"),
        multi_frame(),
        make_instance(4, 5, 1, 1, StudyDescription=SCRIPT[:64], ImageComments=SCRIPT, PatientName="Bobby<script>"),
        sample("JPEG2000.dcm"),
    ]


@dataclass
class ResearchStore:
    """Instances in a research Orthanc and in the index."""

    orthanc: Orthanc
    index: Index
    ids: list[str] = field(default_factory=list)
    parents: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, *files: bytes) -> list[str]:
        """Store and index files; return Orthanc's identifiers."""
        answers = [self.orthanc.upload(data) for data in files]
        self.index.add([build_document(None, data) for data in files])
        self.ids += [answer.id for answer in answers]
        self.parents |= {answer.id: (answer.study, answer.series) for answer in answers}
        return [answer.id for answer in answers]
