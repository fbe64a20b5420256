"""What every engine that finds text in a picture has in common."""

from __future__ import annotations

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

    def find(self, picture: Picture) -> list[Finding]:
        """Return the text found, in pixels of the picture.

        Raises
        ------
        TransientError
            The engine's service is away.
        PermanentError
            The engine is not installed, or refuses the picture.
        """
        ...
