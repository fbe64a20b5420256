"""Private elements that the sender itself declares to hold nothing identifying (PS3.3 C.12.1.1.7)."""

from __future__ import annotations

from common.dicom_dataset import DataSet, Item
from common.dicom_scan import Scan

Declared = frozenset[tuple[str, int, int]]
"""Private creator, group, and number inside the block; -1 for all of the block."""

ALL_OF_BLOCK = -1
_SEQUENCE = 0x00080300
_GROUP, _CREATOR, _STATUS, _ELEMENTS = 0x00080301, 0x00080302, 0x00080303, 0x00080304


def declared_safe(original: Scan) -> Declared:
    """Return what the Private Data Element Characteristics Sequence of an instance declares to be safe."""
    element = original.dataset.find(_SEQUENCE)
    if element is None:
        return frozenset()
    return frozenset(each for item in original.dataset.items(element) for each in _of_item(item))


def _of_item(item: Item) -> list[tuple[str, int, int]]:
    groups, creators, status = _texts(item, _GROUP), _texts(item, _CREATOR), _texts(item, _STATUS)
    if len(groups) != 1 or len(creators) != 1 or not groups[0].isdigit():
        return []
    group, creator = int(groups[0]), creators[0].strip()
    if status == ["SAFE"]:
        return [(creator, group, ALL_OF_BLOCK)]
    numbers = _texts(item, _ELEMENTS) if status == ["MIXED"] else []
    return [(creator, group, int(number) & 0xFF) for number in numbers if number.isdigit()]


def _texts(dataset: DataSet, tag: int) -> list[str]:
    element = dataset.find(tag)
    return dataset.texts(element) if element is not None else []
