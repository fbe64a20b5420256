"""What the viewer has to show: images of the kinds that research archives hold, a report, a PDF."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import UID, EncapsulatedPDFStorage, generate_uid

from tests.helpers.research_store import make_instance, sample

SIZE = 128
SLICES = 100


def slices(count: int = SLICES, series: int = 1, **elements: Any) -> list[bytes]:
    """Build a CT series: a bright disc that wanders over a gradient, with position, spacing and window."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    files = []
    for number in range(1, count + 1):
        disc = (rows - 64) ** 2 + (columns - 30 - 68 * number / count) ** 2 < 400
        pixels = np.where(disc, 1400, 900 + rows * 2 + columns).astype(np.uint16)
        given = {
            "Rows": SIZE, "Columns": SIZE, "PixelData": pixels.tobytes(), "PixelSpacing": [0.7, 0.7],
            "ImagePositionPatient": [0, 0, float(number)], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "SliceThickness": "1", "RescaleIntercept": "-1024", "RescaleSlope": "1", "WindowCenter": "100",
            "WindowWidth": "600", "FrameOfReferenceUID": f"1.2.826.0.1.3680043.8.498.8.{series}",
            "PatientID": "V1", "PatientName": "Viewer^One", "StudyDescription": "Hundred slices",
        }  # fmt: skip
        files.append(make_instance(50, 1, series, number, **{**given, **elements}))
    return files


def of_study(data: bytes, number: int, **elements: Any) -> bytes:
    """Return an image of pydicom's as a study of its own."""
    dataset = dcmread(io.BytesIO(data))
    # Samples of one image in several syntaxes have the same UIDs.
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (
        UID(f"1.2.826.0.1.3680043.8.498.9.{number}{level}") for level in ("", ".1", ".1.1")
    )
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientID = f"K{number}"
    for name, value in elements.items():
        setattr(dataset, name, value)
    return save(dataset)


def save(dataset: Dataset) -> bytes:
    """Write a data set as a file."""
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def pdf() -> bytes:
    """Build a PDF of one page in an instance."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R /Resources << >> >>",
        b"<< /Length 30 >>\nstream\n1 0 0 rg 20 20 160 160 re f    \nendstream",
    ]
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"xref\n0 5\n0000000000 65535 f \n%strailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        table,
        len(body),
    )
    dataset = dcmread(io.BytesIO(make_instance(60, 1, 1, 1, Modality="DOC", StudyDescription="Paper")))
    for name in ("Rows", "Columns", "PixelData", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        del dataset[name]
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["pdf"])
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = body + b"\0" * (len(body) % 2)
    dataset.EncapsulatedDocumentLength = len(body)
    return save(dataset)


KINDS = {
    "JPEG 2000": lambda: of_study(sample("693_J2KR.dcm"), 1),
    "JPEG-LS": lambda: of_study(sample("emri_small_jpeg_ls_lossless.dcm"), 2),
    "RLE": lambda: of_study(sample("MR_small_RLE.dcm"), 3),
    "JPEG colour frames": lambda: of_study(sample("examples_ybr_color.dcm"), 4),
    "palette": lambda: of_study(sample("examples_palette.dcm"), 5),
    "enhanced MR": lambda: of_study(sample("emri_small.dcm"), 6),
    "report": lambda: of_study(sample("reportsi.dcm"), 7),
    "PDF": pdf,
}
