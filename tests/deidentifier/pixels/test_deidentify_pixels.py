"""Pixels as a part of the whole: rules in, file out."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from common.errors import QuarantineError
from deidentifier.__main__ import main
from deidentifier.deidentify import Deidentifier, Outcome
from deidentifier.mappings import MemoryMappings
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.finder import Finding
from deidentifier.pixels.preview import preview
from deidentifier.rules_file import load_rules
from tests.deidentifier.pixels.conftest import pixel_files

pytestmark = pytest.mark.filterwarnings("ignore")
HEAD = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n  - Scope: {Labels: ALL}\n"
BOX = "Type: Manual, BoxCoordinates: [[2, 1, 9, 5]]"


def rules_with(rule: str) -> str:
    return f"{HEAD}    RemoveBurnedInAnnotations: [{{{rule}}}]\n"


def deidentify(data: bytes, rule: str) -> Outcome:
    return Deidentifier(load_rules(rules_with(rule)), MemoryMappings()).deidentify(data)


@pytest.mark.parametrize("rule", [BOX, "Type: OCR"])
@pytest.mark.parametrize("name", ["SC_rgb_small_odd.dcm", "CT_small.dcm", "liver_1frame.dcm"])
def test_pixels_that_are_not_all_there_are_held_back(name: str, rule: str) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file(name)))
    dataset.Rows = dataset.Rows + 100
    buffer = BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(QuarantineError, match="shorter than"):
        deidentify(buffer.getvalue(), rule)


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "image_dfl.dcm",
        "emri_small_RLE.dcm",
        "emri_small_jpeg_2k_lossless.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "JPGExtended.dcm",
        "examples_overlay.dcm",
        "rtdose_expb.dcm",
    ],
)
def test_boxes_by_rule(name: str) -> None:
    data = Path(str(get_testdata_file(name))).read_bytes()
    result = pydicom.dcmread(BytesIO(deidentify(data, BOX).data))
    assert result.BurnedInAnnotation == "NO"
    if name != "JPGExtended.dcm":
        frames = result.pixel_array.reshape(-1, result.Rows, result.Columns, result.SamplesPerPixel)
        assert np.ptp(frames[:, 1:5, 2:9]) == 0
    else:
        assert result.file_meta.TransferSyntaxUID == pydicom.uid.JPEGLosslessSV1
        assert result.pixel_array[1:5, 2:9].max() == 0


def test_a_box_beside_the_image_changes_no_pixel() -> None:
    data = Path(str(get_testdata_file("emri_small_RLE.dcm"))).read_bytes()
    outcome = deidentify(data, "Type: Manual, BoxCoordinates: [[900, 900, 999, 999]]")
    before, result = pydicom.dcmread(BytesIO(data)), pydicom.dcmread(BytesIO(outcome.data))
    assert result.get("BurnedInAnnotation") == before.get("BurnedInAnnotation")
    assert result.PixelData == before.PixelData


def test_text_is_found_and_reported_without_its_value() -> None:
    data = Path(str(get_testdata_file("examples_rgb_color.dcm"))).read_bytes()
    outcome = deidentify(data, "Type: OCR")
    result = pydicom.dcmread(BytesIO(outcome.data))
    assert result.BurnedInAnnotation == "NO"
    report = str([finding.as_record() for finding in outcome.report])
    assert "boxes blackened in 1 of 1 frames" in report
    assert "BAPTIST" not in report
    # The institution's name stands at the upper left.
    assert result.pixel_array[10:20, 8:80].max() < 60


def test_pixels_that_cannot_be_understood_are_quarantined() -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    dataset.PixelData = dataset.PixelData[:-100]
    buffer = BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(QuarantineError, match="shorter"):
        deidentify(buffer.getvalue(), BOX)


WHOLE = [path for path in pixel_files() if "truncated" not in path.name]


@pytest.mark.parametrize("path", WHOLE[::9], ids=lambda path: path.name)
def test_pixels_that_no_rule_touches_leave_as_they_came(path: Path) -> None:
    data = path.read_bytes()
    before = pydicom.dcmread(BytesIO(data), force=True)
    rules = load_rules(HEAD + "    DeleteTags: [{TagPatterns: PatientName, Action: Remove}]\n")
    result = pydicom.dcmread(BytesIO(Deidentifier(rules, MemoryMappings()).deidentify(data).data), force=True)
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        assert (keyword in before) == (keyword in result)
        if keyword in before:
            assert before[keyword].value == result[keyword].value


def test_the_command_draws_previews(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(rules_with(BOX))
    source = str(get_testdata_file("CT_small.dcm"))
    output, folder = str(tmp_path / "out"), tmp_path / "preview"
    assert main(["run", "--rules", str(rules), "--output", output, "--preview", str(folder), source]) == 0
    names = sorted(path.name for path in folder.iterdir())
    assert [name.split("-", 1)[1] for name in names] == ["frame1-after.png", "frame1-before.png"]
    before, after = (np.asarray(Image.open(folder / name)) for name in reversed(names))
    assert after[1:5, 2:9].max() == 0
    assert before[0, 2].tolist() == [255, 64, 64]


def test_the_command_frames_what_is_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Readable:
        def find(self, picture: np.ndarray, part: Box | None = None, known: Sequence[Finding] = ()) -> list[Finding]:
            return [Finding(Box(10, 20, 60, 40), "DOE", 0.9)]

    monkeypatch.setattr("deidentifier.deidentify.engines", lambda region: lambda name: Readable())
    rules, folder = tmp_path / "rules.yaml", tmp_path / "preview"
    rules.write_text(rules_with("Type: OCR"))
    source = str(get_testdata_file("CT_small.dcm"))
    command = ["run", "--rules", str(rules), "--output", str(tmp_path / "out"), "--preview", str(folder), source]
    assert main(command) != 0
    [before] = folder.iterdir()
    assert np.asarray(Image.open(before))[19, 30].tolist() == [255, 64, 64]


def test_a_preview_frames_the_boxes_of_the_frame_that_is_asked_for() -> None:
    data = Path(str(get_testdata_file("SC_rgb_rle_2frame.dcm"))).read_bytes()
    shown = preview(data, None, [(), (Box(10, 10, 30, 30),)], frame=2)
    plain = preview(data, data, [(), (Box(10, 10, 30, 30),)], frame=1)
    assert shown.after is None
    assert shown.before is not None
    framed = np.asarray(Image.open(BytesIO(shown.before)))
    assert tuple(framed[9, 20]) == (255, 64, 64)
    assert plain.before == plain.after
    assert preview(data, None, (), frame=9).before is None
    assert preview(b"no DICOM", None, ()).before is None
