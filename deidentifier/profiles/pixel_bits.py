"""What is in pixel data and in no pixel: embedded overlays (PS3.5 8.1.2), bytes after the last one, comments.

Overlays in bits of the pixel cells have no element of their own to remove, and a frame too many no attribute.
"""

from __future__ import annotations

from common.dicom_dataset import Element
from common.dicom_scan import DEFLATED, Scan, scan_dataset
from common.errors import QuarantineError
from deidentifier.profiles.comments import clear_comments

_ROWS, _COLUMNS, _SAMPLES, _FRAMES = 0x00280010, 0x00280011, 0x00280002, 0x00280008
_ALLOCATED, _STORED, _HIGH = 0x00280100, 0x00280101, 0x00280102
_PIXEL_DATA, _FLOAT, _DOUBLE = 0x7FE00010, 0x7FE00008, 0x7FE00009
_NATIVE = frozenset(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED))


def clear_unused(original: Scan) -> Scan:
    """Return an original without bits and bytes that belong to no pixel; the same one where there are none.

    Raises
    ------
    QuarantineError
        An overlay is embedded in compressed pixels, or these carry what cannot be told from the picture.
    """
    pixels = original.pixel_data
    if pixels is None:
        return original
    numbers = _numbers(original)
    if (tag := pixels[0].tag) != _PIXEL_DATA:
        # BitsAllocated says nothing that the element would not say (PS3.3 C.7.6.24, C.7.6.25); planes are not embedded.
        numbers[_ALLOCATED] = {_FLOAT: 32, _DOUBLE: 64}[tag]
    embedded = tag == _PIXEL_DATA and _has_embedded_overlay(original)
    native = original.transfer_syntax in _NATIVE
    if embedded and not native:
        raise QuarantineError("an overlay is embedded in compressed pixels")
    if not native:
        return clear_comments(original, pixels, numbers)
    expected = _expected(numbers)
    excess = expected is not None and pixels[3] - pixels[2] - expected > 1
    if not (embedded or excess):
        return original
    data = bytearray(original.data[original.dataset.start : original.dataset.end])
    start = pixels[2] - original.dataset.start
    if excess and expected is not None:
        data[start + expected : pixels[3] - original.dataset.start] = bytes(pixels[3] - pixels[2] - expected)
    if embedded:
        _keep_stored_bits(data, start, pixels, original, numbers)
    found = scan_dataset(bytes(data), original.transfer_syntax)
    found.meta = original.meta
    return found


def _numbers(original: Scan) -> dict[int, int]:
    """Return the whole numbers that describe the pixels."""
    data, order = original.data, "little" if original.dataset.syntax.order == "<" else "big"
    found = {}
    for head, _, value, end in original.dataset.elements:
        tag = head.tag
        if tag >> 16 == 0x0028 and tag <= _HIGH:
            if head.vr == "US":
                found[tag] = int.from_bytes(data[value : value + 2], order)  # type: ignore[arg-type]  # one of the two
            elif tag == _FRAMES and (text := data[value:end].strip(b" \0")).isdigit():
                found[tag] = int(text)
    return found


def _expected(numbers: dict[int, int]) -> int | None:
    """Return the length of the pixels in bytes, padded to an even one; None where they are not described."""
    try:
        cells = numbers[_ROWS] * numbers[_COLUMNS] * numbers.get(_SAMPLES, 1) * max(1, numbers.get(_FRAMES, 1))
        length = (cells * numbers[_ALLOCATED] + 7) // 8
    except KeyError:
        return None
    return length + length % 2 if length else None


def _has_embedded_overlay(original: Scan) -> bool:
    """Tell whether a group 60xx describes an overlay whose bits are nowhere but in the pixel cells."""
    groups: dict[int, bool] = {}
    for head, *_ in reversed(original.dataset.elements):
        group = head.tag >> 16
        if group < 0x6000:
            break
        if group < 0x6100 and not group % 2:
            groups[group] = groups.get(group, False) or head.tag & 0xFFFF == 0x3000
    return not all(groups.values())


def _keep_stored_bits(data: bytearray, start: int, pixels: Element, original: Scan, numbers: dict[int, int]) -> None:
    allocated, stored = numbers.get(_ALLOCATED, 0), numbers.get(_STORED, 0)
    high = numbers.get(_HIGH, stored - 1)
    if allocated not in (8, 16, 32) or not 0 < stored <= allocated or high >= allocated:
        raise QuarantineError("an overlay is embedded in pixels that are described wrongly")
    import numpy as np  # for what is rare; its import takes 0.1 s

    kind = np.dtype(f"{original.dataset.syntax.order}u{allocated // 8}")
    length = (pixels[3] - pixels[2]) // kind.itemsize
    cells = np.frombuffer(data, kind, length, start)
    cells &= kind.type(((1 << stored) - 1) << (high - stored + 1))
