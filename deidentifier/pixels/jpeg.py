"""Blackening blocks of a lossy JPEG frame by its coefficients: all other blocks keep theirs, so nothing is lost twice.

libjpeg-turbo's TurboJPEG library does it: ``tjTransform`` reads the coefficients, hands them to a filter, and writes
them again (https://libjpeg-turbo.org, BSD). It has no Python package of its own kind, so it is called through ctypes;
the functions used are in its versions 2 and 3 alike.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache
from typing import Any

import numpy as np

from common.codestreams import FrameHeader, read_frame_header, segments
from deidentifier.pixels.boxes import Box, Boxes

_QUANTISATION = 0xDB
_ADOBE = 0xEE
_JFIF = 0xE0
_BLOCK = 8


def blacken_blocks(data: bytes, boxes: Boxes, *, inverted: bool, luminance: bool) -> bytes | None:
    """Make the blocks that the boxes touch black.

    Parameters
    ----------
    data
        A baseline JPEG codestream of 8-bit samples.
    boxes
        Grown here to whole units of blocks (8, or 16 where colour is subsampled, pixels a side).
    inverted
        Black is the largest value, not the smallest (MONOCHROME1).
    luminance
        Three components are Y, Cb and Cr according to the header of the DICOM file; otherwise the codestream tells.

    Returns
    -------
    bytes or None
        The new codestream; None where the library is missing or refuses the codestream.
    """
    library = _library()
    if library is None:
        return None
    try:
        header = read_frame_header(data)
        darkest = _dark_coefficients(data, header, inverted=inverted, luminance=luminance)
    except (ValueError, IndexError, KeyError):
        return None
    if header.precision != 8:
        return None
    return _transform(library, data, _filter(header, boxes, darkest))


def _dark_coefficients(data: bytes, header: FrameHeader, *, inverted: bool, luminance: bool) -> list[int]:
    """Return the DC coefficient of a black block for each component: (value - 128) × 8, quantised away from 0."""
    steps = _dc_steps(data)
    quantised = [steps[row[3]] for row in header.components]
    dark = [(1 if inverted else -1) * -(-8 * 128 // step) for step in quantised]
    if len(dark) == 3 and (luminance or _is_ycc(data)):
        dark[1:] = [0, 0]
    return dark


def _dc_steps(data: bytes) -> dict[int, int]:
    """Return the first value of each quantisation table (ISO 10918-1 B.2.4.1)."""
    steps = {}
    for marker, content in segments(data):
        at = 0
        while marker == _QUANTISATION and at < len(content):
            size = 2 if content[at] >> 4 else 1
            steps[content[at] & 15] = int.from_bytes(content[at + 1 : at + 1 + size], "big")
            at += 1 + 64 * size
    return steps


def _is_ycc(data: bytes) -> bool:
    """Tell whether a codestream whose DICOM header says RGB holds Y, Cb and Cr all the same."""
    for marker, content in segments(data):
        if marker == _JFIF and content.startswith(b"JFIF\0"):
            return True
        if marker == _ADOBE and content.startswith(b"Adobe") and len(content) >= 12:
            return content[11] != 0
    return False


class _Region(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_int), ("w", ctypes.c_int), ("h", ctypes.c_int)]


_Filter = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), _Region, _Region, ctypes.c_int, ctypes.c_int, ctypes.c_void_p
)


class _Transform(ctypes.Structure):
    _fields_ = [
        ("region", _Region),
        ("operation", ctypes.c_int),
        ("options", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("filter", _Filter),
    ]


@cache
def _library() -> Any:
    """Return libturbojpeg, or None where it is not installed."""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("turbojpeg") or "libturbojpeg.so.0")
    except OSError:
        return None
    library.tjInitTransform.restype = ctypes.c_void_p
    library.tjDestroy.argtypes = [ctypes.c_void_p]
    library.tjFree.argtypes = [ctypes.c_void_p]
    library.tjTransform.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_ulong,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.POINTER(ctypes.c_ulong),
        ctypes.POINTER(_Transform),
        ctypes.c_int,
    ]
    return library


def _filter(header: FrameHeader, boxes: Boxes, darkest: list[int]) -> Any:
    """Return the function that the library calls with the coefficients of (a part of) one component."""
    width, height = header.unit
    aligned = [box.aligned(width, height) for box in boxes]

    def blacken(coefficients: Any, array: _Region, plane: _Region, component: int, _index: int, _data: Any) -> int:
        _, horizontal, vertical, _ = header.components[component]
        rows, columns = array.h // _BLOCK, array.w // _BLOCK
        blocks = np.ctypeslib.as_array(coefficients, shape=(rows, columns, 64))
        for box in aligned:
            part = _blocks(box, width, height, horizontal, vertical).shifted(-array.x // _BLOCK, -array.y // _BLOCK)
            left, top, right, bottom = part.clipped(columns, rows)
            if left < right and top < bottom:
                blocks[top:bottom, left:right] = 0
                blocks[top:bottom, left:right, 0] = darkest[component]
        return 0

    return _Filter(blacken)


def _blocks(box: Box, width: int, height: int, horizontal: int, vertical: int) -> Box:
    """Return the blocks of one component that an aligned box of pixels covers."""
    return Box(
        box.left // width * horizontal,
        box.top // height * vertical,
        box.right // width * horizontal,
        box.bottom // height * vertical,
    )


def _transform(library: Any, data: bytes, function: Any) -> bytes | None:
    """Pass the coefficients through the function; None where the library reports an error or a warning."""
    handle = library.tjInitTransform()
    if not handle:
        return None
    target, size = ctypes.c_void_p(), ctypes.c_ulong(0)
    transform = _Transform(filter=function)
    try:
        status = library.tjTransform(
            handle, data, len(data), 1, ctypes.byref(target), ctypes.byref(size), ctypes.byref(transform), 0
        )
        if status != 0 or not target.value:
            return None
        written = _without_new_markers(data, ctypes.string_at(target.value, size.value))
        return written + b"\0" * (len(written) % 2)
    finally:
        if target.value:
            library.tjFree(target)
        library.tjDestroy(handle)


def _without_new_markers(original: bytes, written: bytes) -> bytes:
    """Take out a JFIF or Adobe marker that the original had not: it would change how the colours are understood."""
    had = {marker for marker, _ in segments(original)}
    for marker, content in segments(written):
        if marker in (_JFIF, _ADOBE) and marker not in had:
            added = bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content
            written = written.replace(added, b"", 1)
    return written
