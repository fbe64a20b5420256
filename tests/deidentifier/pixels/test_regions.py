"""The libraries that come with the product: device regions, and labels for images that may show text."""

from __future__ import annotations

from collections import Counter
from importlib import resources

import numpy as np
import pydicom
import pytest
import yaml
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from common.errors import RulesError
from common.query import Node, any_of, match, parse
from deidentifier.pixels.boxes import Box, clip
from deidentifier.pixels.image import describe
from deidentifier.pixels.local import LocalFinder
from deidentifier.pixels.pictures import pictures, stored_frames
from deidentifier.pixels.regions import known_boxes, load_regions, outside_ultrasound_regions, shipped_regions
from tests.deidentifier.pixels.conftest import pixel_files

pytestmark = pytest.mark.filterwarnings("ignore")


def device(**values: object) -> Dataset:
    header = Dataset()
    for keyword, value in values.items():
        setattr(header, keyword, value)
    return header


@pytest.mark.parametrize(
    ("name", "band"),
    [("OBXXXX1A.dcm", 58), ("US1_UNCR.dcm", 48), ("color3d_jpeg_baseline.dcm", 31)],
)
def test_the_band_of_a_known_device_is_hidden(name: str, band: int) -> None:
    header = pydicom.dcmread(str(get_testdata_file(name)))
    boxes = clip(known_boxes(header, shipped_regions()), header.Columns, header.Rows)
    hidden = np.zeros((header.Rows, header.Columns), bool)
    for left, top, right, bottom in boxes:
        hidden[top:bottom, left:right] = True
    assert hidden[:band].all()
    assert not hidden[header.Rows // 3 : header.Rows // 2].any()
    image = describe(header, header.file_meta.TransferSyntaxUID, vr=header["PixelData"].VR)
    picture = pictures(header, image, next(stored_frames(header, image, header.PixelData)))[0]
    picture[hidden] = 0
    # Nothing is left to read where the device writes its header.
    assert not [found for found in LocalFinder().find(picture[:band].copy()) if len(found.text) > 1]


def test_other_devices_and_sizes_are_left_alone() -> None:
    fits = {"Manufacturer": "SONOSITE, Inc.", "Modality": "US", "Columns": 640, "Rows": 480}
    assert known_boxes(device(**fits), shipped_regions())
    for change in ({"Columns": 800}, {"Modality": "CT"}, {"Manufacturer": "Other"}):
        assert not known_boxes(device(**{**fits, **change}), shipped_regions())


def test_outside_of_the_regions_that_an_image_declares() -> None:
    item = device(RegionLocationMinX0=10, RegionLocationMinY0=60, RegionLocationMaxX1=500, RegionLocationMaxY1=99)
    lower = device(RegionLocationMinX0=10, RegionLocationMinY0=200, RegionLocationMaxX1=500, RegionLocationMaxY1=299)
    header = device(Rows=400, Columns=600, SequenceOfUltrasoundRegions=[item, lower])
    assert outside_ultrasound_regions(header) == (Box(0, 0, 600, 60), Box(0, 300, 600, 400))
    assert outside_ultrasound_regions(device(Rows=400, Columns=600)) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Regions:\n  - Columns: 5\n    BoxCoordinates: [[0, 0, 1, 1]]", "2:5: a region names at least one"),
        ("Regions:\n  - Modality: US", "2:5: a region has BoxCoordinates"),
        ("Regions:\n  - Modality: US\n    Boxes: []", "Boxes"),
        ("Regions:\n  - Modality: US\n    BoxCoordinates: [[1, 2, 3]]", "3:22"),
    ],
)
def test_a_wrong_library_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(RulesError, match=message):
        load_regions(text, "mine.yaml")


def may_show_text() -> Node:
    content = yaml.safe_load((resources.files("deidentifier.pixels") / "labels.yaml").read_text())
    labels = {label["Name"]: parse(label["DICOMQueryFilter"]) for label in content["Labels"]}
    [category] = content["Categories"]
    assert set(category["Labels"]) == set(labels)
    return any_of([labels[name] for name in category["Labels"]])


class Values:
    """A pydicom data set as the query language sees it, for top-level elements."""

    def __init__(self, header: Dataset) -> None:
        self._header = header

    def values(self, path: tuple[int, ...]) -> list[str] | None:
        if path[-1] not in self._header:
            return None
        element = self._header[path[-1]]
        return [str(one) for one in element.value] if element.VM > 1 else [str(element.value)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "Rows": 512}, False),
        ({"Modality": "CT", "ImageType": ["DERIVED", "PRIMARY", "MPR"], "Rows": 512}, False),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], "Rows": 512}, True),
        ({"Modality": "MR", "ImageType": ["DERIVED", "SECONDARY", "MPR"], "Rows": 512}, False),
        ({"Modality": "MR", "ImageType": ["DERIVED", "SECONDARY"], "Rows": 512}, True),
        ({"Modality": "MR", "Rows": 512}, False),
        ({"Modality": "CR", "ImageType": ["DERIVED", "PRIMARY"], "Rows": 512}, False),
        ({"Modality": "US", "ImageType": ["ORIGINAL", "PRIMARY"]}, True),
        ({"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, True),
        ({"Modality": "??", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1"}, True),
        ({"Modality": "??", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1"}, True),
        ({"Modality": "SEG", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Rows": 9}, False),
        ({"Modality": "MR", "BurnedInAnnotation": "YES", "ImageType": ["ORIGINAL", "PRIMARY"]}, True),
        ({"Modality": "??", "Rows": 100}, True),
        ({"Modality": "SR"}, False),
    ],
)
def test_which_images_may_show_text(values: dict[str, object], expected: bool) -> None:
    assert match(may_show_text(), Values(device(**values))) is expected


def test_slices_of_the_sample_files_cost_nothing() -> None:
    read, seen = Counter(), Counter()
    for path in pixel_files():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        modality = str(header.get("Modality"))
        seen[modality] += 1
        read[modality] += match(may_show_text(), Values(header))
    assert seen["CT"] >= 20
    assert seen["US"] > 5
    assert read["US"] == seen["US"]
    assert read["CT"] + read["MR"] + read["CR"] <= 0.05 * (seen["CT"] + seen["MR"] + seen["CR"])
