"""Which engine finds text: what the rule names, else Rekognition where its region is set, else the local one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from common.errors import PermanentError

if TYPE_CHECKING:
    from deidentifier.pixels.finder import Finder

ENGINES = ("local", "rekognition")


def engines(rekognition_region: str | None) -> Callable[[str | None], Finder]:
    """Return the function that gives the engine of a name, the default one for None.

    Parameters
    ----------
    rekognition_region
        RPACS_REKOGNITION_REGION. AWS_REGION makes nothing the default: sending images out is a decision of its own;
        it only tells where, when a rule itself says `Engine: rekognition`.
    """

    @cache
    def engine(name: str | None) -> Finder:
        name = name or ("rekognition" if rekognition_region else "local")
        # An engine brings a lot along: only the one that is asked for is imported.
        if name == "local":
            from deidentifier.pixels.local import LocalFinder

            return LocalFinder()
        if name != "rekognition":
            raise PermanentError(f"no such engine: the engines are {', '.join(ENGINES)}")
        from deidentifier.pixels.rekognition import rekognition

        return rekognition(rekognition_region)

    return engine
