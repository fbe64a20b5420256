"""Blackening uncompressed pixels in place: no other bit changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from common.errors import QuarantineError
from deidentifier.pixels.black import black, black_float
from deidentifier.pixels.boxes import Box, Boxes
from deidentifier.pixels.image import Image


def mask_native(header: Dataset, image: Image, value: bytearray, boxes: Sequence[Boxes]) -> None:
    """Blacken the boxes of each frame in the value of the pixel data element.

    Parameters
    ----------
    value
        The element's value, changed in place; it may be longer than the frames need.
    boxes
        For each frame its boxes, clipped to the image.

    Raises
    ------
    QuarantineError
        The value is shorter than the frames, or black is not known.
    """
    refuse_short(image, value)
    if image.word_swapped:
        _swap_words(value)
    if image.bits_allocated == 1:
        _mask_bits(header, image, value, boxes)
    else:
        _mask_samples(header, image, value, boxes)
    if image.word_swapped:
        _swap_words(value)


def refuse_short(image: Image, value: bytes | bytearray | memoryview) -> None:
    """Refuse a value that is shorter than its frames.

    Raises
    ------
    QuarantineError
        It is.
    """
    if len(value) * 8 < image.frame_bits * image.frames:
        raise QuarantineError("the pixel data is shorter than Rows, Columns and NumberOfFrames say")


def frames_of(image: Image, value: bytes | bytearray | memoryview) -> npt.NDArray[Any]:
    """Return a view of the frames: (frames, samples, rows, columns), or (frames, rows, pairs, 4) where subsampled."""
    kind = "f" if image.keyword != "PixelData" else "u"
    count = image.frames * image.frame_bits // image.bits_allocated
    words = np.frombuffer(value, f"{'>' if image.big_endian else '<'}{kind}{image.bits_allocated // 8}", count)
    if image.subsampled:
        return words.reshape(image.frames, image.rows, image.columns // 2, 4)
    if image.planar == 1 and image.samples > 1:
        return words.reshape(image.frames, image.samples, image.rows, image.columns)
    return words.reshape(image.frames, image.rows, image.columns, image.samples).transpose(0, 3, 1, 2)


def embedded_overlays(header: Dataset) -> bool:
    """Tell whether overlay planes lie in unused bits of the pixels (retired, PS3.3-2004 C.9.2)."""
    return any(
        (group, 0x0102) in header and (group, 0x3000) not in header and int(header[group, 0x0102].value or 0) > 0
        for group in range(0x6000, 0x6020, 2)
    )


def black_words(header: Dataset, image: Image) -> tuple[int, ...]:
    """Return the whole words of a black pixel as unsigned numbers: the value at its place, no overlay bit."""
    kept = (1 << image.bits_stored) - 1 if embedded_overlays(header) else (1 << image.bits_allocated) - 1
    shift = image.high_bit - image.bits_stored + 1
    full = (1 << image.bits_allocated) - 1
    return tuple((sample & kept) << shift & full for sample in black(header, image))


def _mask_samples(header: Dataset, image: Image, value: bytearray, boxes: Sequence[Boxes]) -> None:
    frames = frames_of(image, value)
    if image.keyword != "PixelData":
        words: tuple[Any, ...] = (black_float(header, image, frames),)
    else:
        words = black_words(header, image)
    for frame, of_frame in zip(frames, boxes, strict=True):
        for box in of_frame:
            _blacken(image, frame, box, words)


def _blacken(image: Image, frame: npt.NDArray[Any], box: Box, words: tuple[Any, ...]) -> None:
    """Write the words of a black pixel into the box of one frame, shaped as `frames_of` shapes it."""
    left, top, right, bottom = box
    if image.subsampled:
        # Two pixels share their colour: a pair that the box cuts goes as a whole.
        frame[top:bottom, left // 2 : (right + 1) // 2] = (words[0], words[0], words[1], words[2])
    elif image.planar == 1:
        for sample, word in zip(frame, words, strict=True):
            sample[top:bottom, left:right] = word
    else:
        # Whole lines of words at once: a tenth of the time of writing sample by sample.
        lines = np.moveaxis(frame, 0, -1).reshape(image.rows, image.columns * len(words))
        line = words[0] if len(set(words)) == 1 else np.tile(np.array(words, frame.dtype), right - left)
        lines[top:bottom, left * len(words) : right * len(words)] = line


def _mask_bits(header: Dataset, image: Image, value: bytearray, boxes: Sequence[Boxes]) -> None:
    """Blacken pixels of one bit each, packed from the least significant bit on without gaps (PS3.5 8.1.1)."""
    word = black_words(header, image)[0]
    for number, of_frame in enumerate(boxes):
        if of_frame:
            mask_plane(value, number * image.frame_bits, image.rows, image.columns, of_frame, word)


def mask_plane(value: bytearray, first_bit: int, rows: int, columns: int, boxes: Boxes, bit: int) -> None:
    """Set one bit for every pixel of the boxes in a packed plane that begins at ``first_bit`` of the value."""
    start, end = first_bit // 8, -(-(first_bit + rows * columns) // 8)
    bits = np.unpackbits(np.frombuffer(value, "u1")[start:end], bitorder="little")
    plane = bits[first_bit % 8 :][: rows * columns].reshape(rows, columns)
    for left, top, right, bottom in boxes:
        plane[top:bottom, left:right] = bit
    value[start:end] = np.packbits(bits, bitorder="little").tobytes()


def _swap_words(value: bytearray) -> None:
    """Swap the bytes of each 16-bit word in place; a last odd byte stays."""
    words = np.frombuffer(value, "<u2", count=len(value) // 2)
    words.byteswap(inplace=True)
