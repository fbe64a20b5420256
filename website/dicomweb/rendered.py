"""The parameters of rendered images (PS3.18 8.3.5)."""

from __future__ import annotations

from collections.abc import Mapping

from common.errors import QueryError
from common.rendering import Picture

_LARGEST = 4096


def read_picture(frame: int, arguments: Mapping[str, str], format: str, size: int | None = None) -> Picture:
    """Read ``window`` (center, width) and ``viewport`` (width, height); others are not of our pictures.

    Raises
    ------
    QueryError
        One of them is malformed.
    """
    window, viewport = (_numbers(name, arguments, count) for name, count in (("window", 2), ("viewport", 2)))
    center, width = window or (None, None)
    if width is not None and width <= 0:
        raise QueryError("window is CENTER,WIDTH[,FUNCTION], the width above 0")
    if viewport:
        # The picture keeps its proportions: the shorter side of the viewport bounds it for sure.
        size = int(min(max(min(viewport), 1), _LARGEST))
    return Picture(frame, center, width, size, format)


def _numbers(name: str, arguments: Mapping[str, str], count: int) -> tuple[float, ...] | None:
    if not arguments.get(name):
        return None
    try:
        values = tuple(float(text) for text in arguments[name].split(",")[:count])
    except ValueError:
        values = ()
    if len(values) != count or not all(abs(value) < 1e9 for value in values):
        raise QueryError(f"{name} takes {count} numbers, separated by commas")
    return values
