"""Masked files open where the original opens, are black in the boxes and unchanged outside."""

from __future__ import annotations

import copy
import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from common.codestreams import read_frame_header
from common.errors import QuarantineError
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.mask import Masked, mask
from tests.deidentifier.pixels.conftest import KEYWORDS, pixel_files

pytestmark = pytest.mark.filterwarnings("ignore")


def keyword_of(dataset: Dataset) -> str:
    return next(keyword for keyword in KEYWORDS if keyword in dataset)


def syntax_of(dataset: Dataset) -> str:
    return dataset.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)


def three_boxes(dataset: Dataset) -> list[Box]:
    columns, rows = int(dataset.Columns), int(dataset.Rows)
    inside = Box(columns // 4, rows // 4, max(columns // 4 + 1, columns // 2), max(rows // 4 + 1, rows // 2))
    corner = Box(columns - max(1, columns // 5), rows - max(1, rows // 5), columns, rows)
    return [inside, corner, Box(-3, -3, columns + 9, rows + 9)]


def mask_dataset(dataset: Dataset, boxes: list[Box]) -> tuple[Masked, Dataset]:
    """Mask, apply the result as the rules engine does, and pass it through bytes."""
    keyword = keyword_of(dataset)
    element = dataset[keyword]
    masked = mask(dataset, syntax_of(dataset), element.value, [tuple(boxes)], keyword=keyword, vr=element.VR)
    result = copy.deepcopy(dataset)
    for change in masked.changes:
        result[change.tag] = change
    for tag in masked.removed:
        del result[tag]
    if masked.pixel_data is not None:
        result[keyword].value = bytes(masked.pixel_data)
    result.file_meta.TransferSyntaxUID = masked.transfer_syntax
    buffer = io.BytesIO()
    # One sample file holds an element whose VR pydicom reads but does not write.
    if "ImageType" in result and not isinstance(result["ImageType"].VR, str):
        del result["ImageType"]
    syntax = pydicom.uid.UID(syntax_of(dataset))
    result.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    buffer.seek(0)
    return masked, pydicom.dcmread(buffer, force=True)


def pixels(dataset: Dataset) -> np.ndarray:
    """Return (frames, rows, columns, samples)."""
    shape = (int(dataset.get("NumberOfFrames") or 1), dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    return dataset.pixel_array.reshape(shape)


def read(path: Path) -> Dataset:
    dataset = pydicom.dcmread(path)
    dataset.decode()
    return dataset


def opens(dataset: Dataset) -> bool:
    try:
        return dataset.pixel_array is not None
    except Exception:
        return False


def touched(dataset: Dataset, box: Box) -> Box:
    """Return the box that may change: grown to whole blocks in lossy JPEG and to pairs where colour is shared."""
    width, height = 1, 1
    if syntax_of(dataset) == pydicom.uid.JPEGBaseline8Bit:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)))
        width, height = read_frame_header(frame).unit
        # Decoders interpolate subsampled colour from one block into the next.
        return box.aligned(width, height).padded(width > 8 or height > 8)
    if dataset.PhotometricInterpretation.endswith("_422"):
        width = 2
    return box.aligned(width, height)


@pytest.mark.parametrize("path", pixel_files(), ids=lambda path: path.name)
def test_black_inside_and_unchanged_outside(path: Path) -> None:
    dataset = read(path)
    if not opens(dataset):
        pytest.skip("the original does not open in pydicom")
    before = pixels(dataset)
    for box in three_boxes(dataset):
        masked, result = mask_dataset(dataset, [box])
        after = pixels(result)
        clipped = box.clipped(dataset.Columns, dataset.Rows)
        inside = after[:, clipped.top : clipped.bottom, clipped.left : clipped.right]
        lossy = syntax_of(dataset) == pydicom.uid.JPEGBaseline8Bit
        assert np.ptp(inside.reshape(-1, inside.shape[-1]), axis=0).max() <= (4 if lossy else 0)
        outside = np.ones(before.shape[1:3], bool)
        left, top, right, bottom = touched(dataset, box).clipped(dataset.Columns, dataset.Rows)
        outside[top:bottom, left:right] = False
        assert np.array_equal(before[:, outside], after[:, outside])
        # JPEG extended is decoded and written without loss: nothing that we may use writes it.
        extended = syntax_of(dataset) == pydicom.uid.JPEGExtended12Bit
        assert masked.transfer_syntax == (pydicom.uid.JPEGLosslessSV1 if extended else syntax_of(dataset))


def dark(path: Path, tmp_path: Path) -> np.ndarray | None:
    """Return what dcmj2pnm draws of the first frame, as gray or colour of 8 bits."""
    target = tmp_path / "image.pnm"
    done = subprocess.run(["dcmj2pnm", "--write-raw-pnm", str(path), str(target)], capture_output=True)
    if done.returncode or not target.exists():
        return None
    data = target.read_bytes()
    target.unlink()
    kind, size, top, body = data.split(b"\n", 3) if data[3:4] != b"#" else _without_comment(data)
    columns, rows = map(int, size.split())
    assert int(top) == 255
    return np.frombuffer(body, np.uint8).reshape(rows, columns, 3 if kind == b"P6" else 1)


def _without_comment(data: bytes) -> list[bytes]:
    kind, _, rest = data.split(b"\n", 2)
    return [kind, *rest.split(b"\n", 2)]


@pytest.mark.skipif(not shutil.which("dcmj2pnm"), reason="dcmtk is not installed")
@pytest.mark.parametrize("path", pixel_files(), ids=lambda path: path.name)
def test_dcmtk_draws_black(path: Path, tmp_path: Path) -> None:
    before = dark(path, tmp_path)
    if before is None:
        pytest.skip("dcmj2pnm does not draw the original")
    dataset = read(path)
    if path.name == "badVR.dcm":
        with pytest.raises(QuarantineError, match="NumberOfFrames is not a number"):
            mask_dataset(dataset, three_boxes(dataset))
        return
    box = three_boxes(dataset)[1]
    _, result = mask_dataset(dataset, [box])
    result.save_as(tmp_path / "masked.dcm")
    after = dark(tmp_path / "masked.dcm", tmp_path)
    assert after is not None
    assert after[box.top : box.bottom, box.left : box.right].max() <= 4
    left, top, right, bottom = touched(dataset, box).clipped(dataset.Columns, dataset.Rows)
    outside = np.ones(before.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(before[outside], after[outside])
