"""Clean the pixels of one instance: find text where rules ask for it, blacken it and what they name, prove it gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

from pydicom.dataset import Dataset
from pydicom.uid import UID

from common.errors import QuarantineError
from deidentifier.pixels.boxes import Boxes, clip
from deidentifier.pixels.finder import Finder, Finding
from deidentifier.pixels.image import Image, describe
from deidentifier.pixels.mask import Buffer, Masked, mask
from deidentifier.pixels.pictures import pictures, stored_frames
from deidentifier.pixels.reader import read_frames
from deidentifier.pixels.terms import header_terms, is_kept, is_text, resembles

#: How often what is still read after masking is masked, too, before a person has to look.
_ROUNDS = 3
#: So many pixels around what is masked are read again.
_AROUND = 16


@dataclass(frozen=True)
class Request:
    """What one rule asks for: boxes by hand (`Type: Manual`), or text to be found (`Type: OCR`)."""

    boxes: Boxes = ()
    find: bool = False
    engine: str | None = None
    keep: tuple[re.Pattern[str], ...] = ()
    header_terms: bool = False


@dataclass
class Cleaned:
    """What cleaning changed, and what was seen.

    ``pixel_data``, ``transfer_syntax``, ``changes`` and ``removed`` are those of `Masked`. ``boxes`` holds what was
    blackened in each frame; ``read`` tells that text was looked for in all frames.
    """

    pixel_data: Buffer | None
    transfer_syntax: UID
    changes: Dataset
    removed: tuple[int, ...]
    boxes: list[Boxes]
    read: bool
    found: list[list[Finding]] = field(default_factory=list, repr=False)

    @property
    def is_claimed(self) -> bool:
        """Whether the pixels were really examined or masked, so that the instance may say so.

        That is BurnedInAnnotation NO (PS3.3 C.7.6.1.1.7) and, where a profile ran, code 113101, Clean Pixel Data Option
        (PS3.16 CID 7050).
        """
        return self.read or self.pixel_data is not None

    @property
    def masked_frames(self) -> int:
        """Number of frames with a box."""
        return sum(1 for boxes in self.boxes if boxes)

    def notes(self) -> list[str]:
        """Return what was done in words, without values."""
        if not self.read and not self.masked_frames:
            return ["pixels: no box lies in the image"]
        done = "read, " if self.read else ""
        return [f"pixels: {done}boxes blackened in {self.masked_frames} of {len(self.boxes)} frames"]


def clean(
    header: Dataset,
    transfer_syntax: str,
    value: Buffer,
    requests: Sequence[Request],
    *,
    finder: Callable[[str | None], Finder],
    original: Dataset | None = None,
    keyword: str = "PixelData",
    vr: str = "OW",
) -> Cleaned:
    """Do what the rules ask of the pixels.

    Parameters
    ----------
    header, transfer_syntax, value, keyword, vr
        As for `mask`.
    requests
        One for each rule in force, not empty.
    finder
        Returns the engine of a name, the default one for None.
    original
        The data set as it came, for `HeaderTerms`; the header where it is left out.

    Raises
    ------
    QuarantineError
        The pixels cannot be decoded or masked, or text remains readable in them; then ``boxes`` tells where.
    TransientError
        An engine's service is away.
    """
    image = describe(header, transfer_syntax, keyword=keyword, vr=vr)
    by_hand = clip((box for request in requests for box in request.boxes), image.columns, image.rows)
    boxes: list[Boxes] = [by_hand] * image.frames
    readings = [_Reading(request, finder(request.engine), original or header) for request in requests if request.find]
    first = found = _read(header, image, value, readings)
    for _ in range(_ROUNDS):
        boxes = [clip((*old, *new), image.columns, image.rows) for old, new in zip(boxes, _areas(found), strict=True)]
        masked = mask(header, transfer_syntax, value, boxes, keyword=keyword, vr=vr)
        if not readings or masked.pixel_data is None:
            return _cleaned(masked, boxes, readings, first)
        # What lies far from a mask is as it was when it was read; under one that stays, black was read as black.
        found = _read(*_after(header, image, masked), readings, within=_around_new(boxes))
        if not any(found):
            return _cleaned(masked, boxes, readings, first)
    error = QuarantineError("text can still be read in the pixels after masking")
    error.boxes = [(*old, *new) for old, new in zip(boxes, _areas(found), strict=True)]
    raise error


class _Reading:
    """One rule that has text found: its engine, and which of the text it hides."""

    def __init__(self, request: Request, finder: Finder, original: Dataset) -> None:
        self.finder = finder
        self._keep = request.keep
        self._terms = header_terms(original) if request.header_terms else None

    def hides(self, text: str) -> bool:
        if not is_text(text) or is_kept(text, self._keep):
            return False
        return self._terms is None or resembles(text, self._terms)


def _read(
    header: Dataset,
    image: Image,
    value: Buffer,
    readings: Iterable[_Reading],
    within: Sequence[Boxes] | None = None,
) -> list[list[Finding]]:
    """Return the text to hide in each frame, as all rules together see it."""
    found: list[list[Finding]] = [[] for _ in range(image.frames)]
    for reading in readings:
        frames = (pictures(header, image, samples) for samples in stored_frames(header, image, value))
        for number, findings in enumerate(read_frames(frames, reading.finder, reading.hides, within)):
            found[number] += findings
    return found


def _around_new(boxes: Sequence[Boxes]) -> list[Boxes]:
    """Return what lies under and around the boxes of each frame that the frame before has not."""
    before: Sequence[Boxes] = [(), *boxes[:-1]]
    return [
        tuple(box.padded(_AROUND) for box in of_frame if box not in old)
        for of_frame, old in zip(boxes, before, strict=True)
    ]


def _areas(found: list[list[Finding]]) -> list[Boxes]:
    return [tuple(dict.fromkeys(finding.box for finding in findings)) for findings in found]


def _after(header: Dataset, image: Image, masked: Masked) -> tuple[Dataset, Image, Buffer]:
    """Return header, description and value as they are after masking."""
    result = copy(header)
    result.update(masked.changes)
    described = replace(
        describe(result, masked.transfer_syntax, keyword=image.keyword), word_swapped=image.word_swapped
    )
    return result, described, masked.pixel_data or b""


def _cleaned(masked: Masked, boxes: list[Boxes], readings: Sequence[_Reading], found: list[list[Finding]]) -> Cleaned:
    """Say in the instance that its pixels were examined or masked."""
    cleaned = Cleaned(
        masked.pixel_data, masked.transfer_syntax, masked.changes, masked.removed, boxes, bool(readings), found
    )
    if cleaned.is_claimed:
        cleaned.changes.BurnedInAnnotation = "NO"
    return cleaned
