"""The pixel-bearing files of pydicom and pydicom-data."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import data_store
import pydicom
import pydicom.data

KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
#: Reading it overruns: pixel data whose fragment contains the delimiter of the sequence itself.
UNREADABLE = {"JPEG2000-embedded-sequence-delimiter.dcm"}


@cache
def pixel_files() -> list[Path]:
    """Return the files with pixel data, one for each name and content."""
    roots = [Path(pydicom.data.__file__).parent / "test_files", Path(data_store.__file__).parent / "data"]
    return [path for root in roots for path in sorted(root.rglob("*")) if path.is_file() and _has_pixels(path)]


def _has_pixels(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
            return any(keyword in dataset for keyword in KEYWORDS) and path.name not in UNREADABLE
    except Exception:
        return False
