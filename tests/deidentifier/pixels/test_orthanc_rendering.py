"""Orthanc draws masked files as it draws the originals: black in the box, the rest unchanged."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom.dataset import Dataset

from tests.deidentifier.pixels.conftest import pixel_files
from tests.deidentifier.pixels.test_mask import mask_dataset, opens, read, three_boxes, touched

pytestmark = pytest.mark.filterwarnings("ignore")
#: The window of an image may reach beyond what its BitsStored can hold: then its darkest value is not quite black.
BLACK = 12
#: Its frames come from one file, of which one is enough.
SAME = {"JPGExtended.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_2frame.dcm"}


class Drawing:
    """Uploads a data set and returns what Orthanc draws of its first frame."""

    def __init__(self, url: str, auth: tuple[str, str]) -> None:
        self._session = requests.Session()
        self._session.auth = auth
        self._url = url

    def draw(self, dataset: Dataset) -> np.ndarray | None:
        dataset.PatientID = dataset.get("PatientID") or "NONE"
        buffer = io.BytesIO()
        syntax = dataset.file_meta.TransferSyntaxUID
        dataset.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        answer = self._session.post(f"{self._url}/instances", data=buffer.getvalue())
        if not answer.ok:
            return None
        instance = answer.json()["ID"]
        try:
            picture = self._session.get(f"{self._url}/instances/{instance}/rendered")
            return np.asarray(Image.open(io.BytesIO(picture.content)).convert("RGB")) if picture.ok else None
        finally:
            self._session.delete(f"{self._url}/instances/{instance}")


def test_orthanc_draws_black(research_orthanc) -> None:
    drawing = Drawing(research_orthanc.url, research_orthanc.auth)
    drawn = [path.name for path in pixel_files() if path.name not in SAME and _compare(drawing, path)]
    assert len(drawn) > 80


def _compare(drawing: Drawing, path: Path) -> bool:
    """Return whether Orthanc draws the original; then it must draw the masked one."""
    dataset = read(path)
    if "TransferSyntaxUID" not in dataset.file_meta or "SOPInstanceUID" not in dataset or not opens(dataset):
        return False
    try:
        before = drawing.draw(dataset)
    except (TypeError, ValueError, AttributeError):  # pydicom does not write every file that it reads
        return False
    if before is None:
        return False
    box = three_boxes(dataset)[1]
    _, result = mask_dataset(dataset, [box])
    after = drawing.draw(result)
    assert after is not None, path.name
    assert after[box.top : box.bottom, box.left : box.right].max() <= BLACK, path.name
    left, top, right, bottom = touched(dataset, box).clipped(dataset.Columns, dataset.Rows)
    outside = np.ones(before.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(before[outside], after[outside]), path.name
    return True
