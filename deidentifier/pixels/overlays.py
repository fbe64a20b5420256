"""Clearing overlay planes under the boxes (PS3.3 C.9.2); those embedded in the pixels go with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from common.errors import QuarantineError
from deidentifier.pixels.boxes import Boxes, clip
from deidentifier.pixels.image import Image
from deidentifier.pixels.native import mask_plane


def overlay_groups(header: Dataset) -> Iterator[int]:
    """Yield the groups 6000, 6002 … 60FE that hold a plane of their own."""
    return (group for group in range(0x6000, 0x6100, 2) if (group, 0x3000) in header)


def clear_overlays(header: Dataset, image: Image, boxes: Sequence[Boxes]) -> Dataset:
    """Return the OverlayData elements that change, with no bit set under the boxes.

    Raises
    ------
    QuarantineError
        A plane is described wrongly.
    """
    changed = Dataset()
    for group in overlay_groups(header):
        element = header[group, 0x3000]
        value = bytearray(element.value or b"")
        try:
            _clear(header, group, value, image, boxes)
        except (KeyError, TypeError, ValueError, IndexError) as exc:
            raise QuarantineError(f"the overlay plane ({group:04X},3000) cannot be read") from exc
        if bytes(value) != bytes(element.value or b""):
            changed[group, 0x3000] = DataElement((group, 0x3000), element.VR, bytes(value))
    return changed


def _clear(header: Dataset, group: int, value: bytearray, image: Image, boxes: Sequence[Boxes]) -> None:
    rows, columns = int(header[group, 0x0010].value), int(header[group, 0x0011].value)
    # The origin counts rows and columns from 1; a plane may begin outside the image.
    origin = header[group, 0x0050].value if (group, 0x0050) in header else [1, 1]
    down, right = int(origin[0]) - 1, int(origin[1]) - 1
    count = int(header[group, 0x0015].value or 1) if (group, 0x0015) in header else 1
    first = int(header[group, 0x0051].value or 1) if (group, 0x0051) in header else 1
    if len(value) * 8 < rows * columns * count:
        raise ValueError("too short")
    swapped = image.big_endian and header[group, 0x3000].VR == "OW"
    if swapped:
        _swap(value)
    for plane in range(count):
        # One plane serves every frame; several belong to the frames from ImageFrameOrigin on.
        of_frames = boxes if count == 1 else boxes[first - 1 + plane : first + plane]
        under = clip((box.shifted(-right, -down) for frame in of_frames for box in frame), columns, rows)
        if under:
            mask_plane(value, plane * rows * columns, rows, columns, under, 0)
    if swapped:
        _swap(value)


def _swap(value: bytearray) -> None:
    value[0::2], value[1::2] = value[1::2], value[0::2]
