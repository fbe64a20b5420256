"""Reading all frames, what does not change from frame to frame only once, what has no edges not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from deidentifier.pixels.boxes import Box, Boxes
from deidentifier.pixels.finder import Finder, Finding
from deidentifier.pixels.pictures import Picture
from deidentifier.pixels.squares import Squares, any_in_squares, boxes_around, count_in_squares, in_pixels, under

#: Pixels that differ by no more than this from what was read are taken as the same: lossy compression, not letters.
_SAME = 8
#: Letters that can be read have edges: pixels that differ by more than this from the next but one, so many in a square.
_EDGE = 10
_FEWEST_EDGES = 4


def read_frames(
    frames: Iterable[list[Picture]],
    finder: Finder,
    hides: Callable[[str], bool],
    within: Sequence[Boxes] | None = None,
) -> list[list[Finding]]:
    """Return the text to hide in each frame.

    Parameters
    ----------
    frames
        The pictures of each frame, of one shape.
    finder
        The engine.
    hides
        Tells whether a text is to be hidden.
    within
        For each frame the parts that are read; the whole frame where it is left out.

    Notes
    -----
    Each part of a frame is compared with what was last read at its place. Text found stays found in every later frame
    in which its place has not changed.
    """
    reading = _Reading(finder, hides)
    return [reading.read(pictures, part) for pictures, part in zip(frames, within or repeat(None), strict=False)]


class _Reading:
    """What was last read at each place, and the text to hide that stands there."""

    def __init__(self, finder: Finder, hides: Callable[[str], bool]) -> None:
        self._finder = finder
        self._hides = hides
        self._standing: list[Finding] = []
        self._reference: npt.NDArray[Any] = np.zeros((0, 0, 0), np.uint8)
        self._unread: Squares = np.zeros((0, 0), bool)

    def read(self, pictures: list[Picture], within: Boxes | None) -> list[Finding]:
        """Return the text to hide in a frame."""
        current = np.concatenate(pictures, axis=2)
        if self._reference.shape != current.shape:
            self._reference, self._standing = current.copy(), []
            self._unread = any_in_squares(np.ones(current.shape[:2], bool))
        differs = differing(self._reference, current)
        changed = any_in_squares(differs) | self._unread
        if within is not None:
            changed &= under(within, *differs.shape)
        if changed.any():
            known = self._standing
            self._standing = [finding for finding in known if not _any(differs, finding.box)]
            stale = under((finding.box for finding in known if finding not in self._standing), *differs.shape)
            for part in self._parts(current, changed, stale):
                self._standing += self._find(pictures, part, known)
            self._standing = list(dict.fromkeys(self._standing))
        return list(self._standing)

    def _parts(self, current: npt.NDArray[Any], changed: Squares, stale: Squares) -> list[Box]:
        """Return what of the changed squares is to be read, and take them for read from now on."""
        rows, columns = current.shape[:2]
        asked = changed & (count_in_squares(edges(current)) >= _FEWEST_EDGES) | stale
        parts = boxes_around(asked, rows, columns)
        read = changed | under(parts, rows, columns)
        self._unread &= ~read
        np.copyto(self._reference, current, where=in_pixels(read, rows, columns)[..., np.newaxis])
        return parts

    def _find(self, pictures: list[Picture], part: Box, known: Sequence[Finding]) -> list[Finding]:
        found: list[Finding] = []
        for picture in pictures:
            # What was read in one picture of the frame need not be read in the next.
            found += self._finder.find(picture, part, [*known, *found])
        return [finding for finding in dict.fromkeys(found) if self._hides(finding.text)]


def _any(pixels: npt.NDArray[np.bool_], box: Box) -> bool:
    left, top, right, bottom = box.clipped(pixels.shape[1], pixels.shape[0])
    return bool(pixels[top:bottom, left:right].any())


def differing(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell for each pixel whether two frames differ there."""
    distance = np.maximum(one, other) - np.minimum(one, other)
    return np.asarray((distance > _SAME).any(axis=2))


def edges(frame: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell for each pixel whether it differs much from the next but one to the right or below, in any colour."""
    found = np.zeros(frame.shape[:2], bool)
    for one, other, place in (
        (frame[:, 2:], frame[:, :-2], found[:, :-2]),
        (frame[2:], frame[:-2], found[:-2]),
    ):
        place |= (np.maximum(one, other) - np.minimum(one, other) > _EDGE).any(axis=2)
    return found
