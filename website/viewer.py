"""What the viewer of an instance needs to know: frames, window, speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from website.element_tree import value_of

PRESETS = (
    ("As stored", ""),
    ("CT soft tissue", "40/400"),
    ("CT lung", "-600/1500"),
    ("CT bone", "300/1500"),
    ("CT brain", "40/80"),
    ("CT liver", "60/160"),
)
RATES = (2, 5, 10, 15, 25, 30)


@dataclass(frozen=True)
class ImageView:
    """One instance's image, and how it was asked to be shown.

    Attributes
    ----------
    frames
        0 where there is no image.
    grey
        Window and level apply.
    center, width
        The window asked for, else the file's own; None where there is none.
    asked
        The window comes from the request.
    """

    frames: int
    frame: int = 1
    grey: bool = False
    center: float | None = None
    width: float | None = None
    asked: bool = False
    rate: int = 10
    presets: tuple[tuple[str, str], ...] = ()


def describe_image(document: Mapping[str, Any], arguments: Mapping[str, str]) -> ImageView:
    """Read an element document and the arguments ``frame``, ``center`` and ``width`` of a request."""
    if not _number(value_of(document, "Rows")) or not _number(value_of(document, "Columns")):
        return ImageView(0)
    frames = int(_number(value_of(document, "NumberOfFrames")) or 1)
    frame = int(_number(arguments.get("frame", "")) or 1)
    center, width = _number(arguments.get("center", "")), _number(arguments.get("width", ""))
    asked = center is not None and width is not None and width > 0
    if not asked:
        center, width = _number(value_of(document, "WindowCenter")), _number(value_of(document, "WindowWidth"))
    modality = value_of(document, "Modality")
    return ImageView(
        frames,
        min(max(frame, 1), frames),
        value_of(document, "PhotometricInterpretation").startswith("MONOCHROME"),
        center,
        width,
        asked,
        min(RATES, key=lambda rate: abs(rate - _frame_rate(document))),
        PRESETS if modality == "CT" else PRESETS[:1],
    )


def _frame_rate(document: Mapping[str, Any]) -> float:
    """Return frames per second (PS3.3 C.7.6.5); 10 where nothing is said."""
    rate = _number(value_of(document, "RecommendedDisplayFrameRate")) or _number(value_of(document, "CineRate"))
    milliseconds = _number(value_of(document, "FrameTime"))
    return rate or (1000 / milliseconds if milliseconds else 10)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e9 else None
