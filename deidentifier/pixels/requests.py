"""From the rules in force for an instance to what is asked of its pixels."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

from deidentifier.pixels.boxes import Box
from deidentifier.pixels.clean import Request
from deidentifier.pixels.regions import Region, known_boxes, shipped_regions
from deidentifier.transformations.remove_burned_in_annotations import RemoveBurnedInAnnotations


def requests_of(
    rules: Iterable[RemoveBurnedInAnnotations], original: Dataset, regions: tuple[Region, ...] | None = None
) -> list[Request]:
    """Return one request for each rule.

    A rule that hides all text also hides what the library knows of the device, whatever the engine makes of it.

    Parameters
    ----------
    rules
        In file order.
    original
        The data set as it came: the device's name may be gone from what earlier rules left.
    regions
        The library of device regions, the shipped one where it is left out.
    """
    library = shipped_regions() if regions is None else regions
    return [_request(rule, original, library) for rule in rules]


def _request(rule: RemoveBurnedInAnnotations, original: Dataset, library: tuple[Region, ...]) -> Request:
    if rule.type == "Manual":
        return Request(boxes=tuple(Box(*box) for box in rule.box_coordinates))
    known = () if rule.header_terms else known_boxes(original, library)
    return Request(boxes=known, find=True, engine=rule.engine, keep=rule.keep, header_terms=rule.header_terms)
