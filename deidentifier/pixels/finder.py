"""What every engine that finds text in a picture has in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from deidentifier.pixels.boxes import Box
from deidentifier.pixels.pictures import Picture


class Finding(NamedTuple):
    """Text found: where, what it was read as (it never leaves the process), how sure the engine is, 0 to 1."""

    box: Box
    text: str
    confidence: float


class Finder(Protocol):
    """An engine that finds text."""

    def find(self, picture: Picture, part: Box | None = None, known: Sequence[Finding] = ()) -> list[Finding]:
        """Return the text found in a part of a picture, in pixels of the picture.

        Parameters
        ----------
        picture
            The whole frame.
        part
            What is read of it, all where it is left out.
        known
            Text that stood there in the frame before. Where an engine sees text inside one of these, it may give that
            one again instead of reading it.

        Raises
        ------
        TransientError
            The engine's service is away.
        PermanentError
            The engine is not installed, or refuses the picture.
        """
        ...
