"""Blacken boxes in the pixels of one instance, and all that shows the same pixels: overlays and the icon."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from common.errors import QuarantineError
from deidentifier.pixels.black import black
from deidentifier.pixels.boxes import Boxes, clip
from deidentifier.pixels.encapsulated import Encapsulated, mask_encapsulated
from deidentifier.pixels.image import Image, describe
from deidentifier.pixels.native import mask_native
from deidentifier.pixels.overlays import clear_overlays

Buffer = bytes | bytearray | memoryview


@dataclass
class Masked:
    """What masking changed.

    ``pixel_data`` is the new value of the pixel data element (where it is compressed, from the offset table up to,
    not with, the sequence delimiter), None where it stays as it came. ``changes`` holds the other top-level elements
    to write, ``removed`` the tags of those to take away. ``transfer_syntax`` is that of ``pixel_data``.
    """

    pixel_data: Buffer | None
    transfer_syntax: UID
    changes: Dataset = field(default_factory=Dataset)
    removed: tuple[int, ...] = ()


def mask(
    header: Dataset,
    transfer_syntax: str,
    value: Buffer,
    boxes: Sequence[Boxes],
    *,
    keyword: str = "PixelData",
    vr: str = "OW",
) -> Masked:
    """Blacken boxes.

    Parameters
    ----------
    header
        The data set, or at least its groups 0028, 5200 and 60xx and the icon; the pixel data may be left out.
    transfer_syntax
        UID in force for the data set.
    value
        The value of the pixel data element as it stands in the file, with or without the sequence delimiter.
    boxes
        One entry for all frames, or one for each frame; parts outside the image do not matter.
    keyword, vr
        Of the pixel data element.

    Raises
    ------
    QuarantineError
        The pixels are in a form that cannot be masked, with the reason.
    """
    image = describe(header, transfer_syntax, keyword=keyword, vr=vr)
    of_frames = _for_each_frame(boxes, image)
    if not any(of_frames):
        return Masked(None, image.transfer_syntax)
    changes = clear_overlays(header, image, of_frames)
    removed = _mask_icon(header, image, of_frames, changes)
    _note_extremes(header, image, changes)
    if not image.transfer_syntax.is_encapsulated:
        pixels = bytearray(value)
        mask_native(header, image, pixels, of_frames)
        return Masked(pixels, image.transfer_syntax, changes, removed)
    compressed = mask_encapsulated(header, image, value, of_frames)
    data = compressed.value()
    _note_compression(header, image, compressed, changes)
    return Masked(data, compressed.transfer_syntax, changes, removed)


def _for_each_frame(boxes: Sequence[Boxes], image: Image) -> list[Boxes]:
    """Return the boxes of every frame, clipped."""
    if len(boxes) not in (1, image.frames):
        raise ValueError(f"boxes for {len(boxes)} frames, but there are {image.frames}")
    clipped = [clip(one, image.columns, image.rows) for one in boxes]
    return clipped * image.frames if len(clipped) == 1 else clipped


def _note_extremes(header: Dataset, image: Image, changes: Dataset) -> None:
    """Keep the smallest and largest pixel value true where the file says them (PS3.3 C.7.6.3.1)."""
    if image.keyword != "PixelData" or image.samples != 1:
        return
    value = black(header, image)[0]
    for keyword, wider in (("SmallestImagePixelValue", min), ("LargestImagePixelValue", max)):
        element = header.get_item(keyword) and header[keyword]
        if element and isinstance(element.value, int) and wider(element.value, value) != element.value:
            changes[keyword] = DataElement(element.tag, "SS" if image.signed else "US", wider(element.value, value))


def _note_compression(header: Dataset, image: Image, compressed: Encapsulated, changes: Dataset) -> None:
    """Write the attributes that tell how the frames are now encoded; the history of lossy compression stays."""
    if compressed.photometric != image.photometric:
        changes.PhotometricInterpretation = compressed.photometric
    if compressed.transfer_syntax != image.transfer_syntax and image.samples > 1:
        changes.PlanarConfiguration = 0
    if compressed.extended:
        changes.ExtendedOffsetTable, changes.ExtendedOffsetTableLengths = compressed.extended_tables()


def _mask_icon(header: Dataset, image: Image, boxes: Sequence[Boxes], changes: Dataset) -> tuple[int, ...]:
    """Blacken the boxes of all frames in the icon; an icon that cannot be masked is removed.

    An icon is a small copy of any frame (PS3.3 F.7), usually uncompressed whatever the frames are.
    """
    icons = header.get("IconImageSequence")
    if not icons:
        return ()
    tag = header["IconImageSequence"].tag
    try:
        masked = [_masked_icon(icon, image, boxes) for icon in icons]
    except (QuarantineError, AttributeError, TypeError, ValueError):
        return (int(tag),)
    changes.IconImageSequence = masked
    return ()


def _masked_icon(icon: Dataset, image: Image, boxes: Sequence[Boxes]) -> Dataset:
    element = icon["PixelData"]
    # Compressed or not shows in the length alone: an icon of the size that its rows and columns say is not.
    syntax = image.transfer_syntax if image.big_endian else ExplicitVRLittleEndian
    small = replace(describe(icon, syntax, vr=element.VR), frames=1)
    horizontally, vertically = small.columns / image.columns, small.rows / image.rows
    scaled = clip((box.scaled(horizontally, vertically) for frame in boxes for box in frame), small.columns, small.rows)
    pixels = bytearray(element.value)
    if not -(-small.frame_bits // 8) <= len(pixels) <= -(-small.frame_bits // 8) + 1:
        raise QuarantineError("the icon is compressed")
    mask_native(icon, small, pixels, [scaled])
    masked = deepcopy(icon)
    masked["PixelData"] = DataElement(element.tag, element.VR, bytes(pixels))
    return masked
