"""JSON documents of an instance: the element document of *Research PACS on AWS* 1.0, and DICOM JSON (PS3.18 F)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from common.dicom_elements import Element
from common.tags import keyword_of

# Pixel data, curve and audio data, waveforms, spectra, overlays (60xx,3000): bulk data never leaves as JSON.
_BULK = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010, 0x54001010, 0x56000020})
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_GROUP_NAMES = ("Alphabetic", "Ideographic", "Phonetic")


def is_bulk_data(tag: int) -> bool:
    """Tell whether an element holds bulk data: pixels, overlays, curves, audio, waveforms, spectra."""
    return tag in _BULK or (tag >> 24, tag & 0xFFFF) in ((0x60, 0x3000), (0x50, 0x3000), (0x50, 0x200C))


def element_document(elements: Iterable[Element]) -> dict[str, Any]:
    """Return the element document: ``gggg,eeee Keyword`` to a text, a list of texts, an object or a list of them.

    A person's name is its alphabetic group; binary and empty values are ``""``; bulk data is left out.
    """
    return {_key(element.tag): _value(element) for element in elements if not is_bulk_data(element.tag)}


def _key(tag: int) -> str:
    name = f"{tag >> 16:04X},{tag & 0xFFFF:04X}"
    keyword = keyword_of(tag)
    return f"{name} {keyword}" if keyword else name


def _value(element: Element) -> Any:
    if element.items is not None:
        values: list[Any] = [element_document(item) for item in element.items]
    else:
        values = [texts[0] for texts in element.values()]
    if not values:
        return ""
    return values[0] if len(values) == 1 else values


def dicom_json(elements: Iterable[Element]) -> dict[str, Any]:
    """Return the DICOM JSON model of a data set (PS3.18 F.2), without file meta information and binary values."""
    return {
        f"{element.tag:08X}": _attribute(element)
        for element in elements
        if element.tag >> 16 != 2 and not is_bulk_data(element.tag)
    }


def _attribute(element: Element) -> dict[str, Any]:
    vr = element.vr[:2]
    if element.items is not None:
        values: list[Any] = [dicom_json(item) for item in element.items]
    elif vr in _BINARY:
        values = []
    elif vr == "PN":
        values = [_name(texts) for texts in element.values()]
    else:
        values = [_plain(vr, text) for text in element.texts]
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _name(texts: tuple[str, ...]) -> dict[str, str] | None:
    named = {name: text for name, text in zip(_GROUP_NAMES, texts, strict=False) if text}
    return named or None


def _plain(vr: str, text: str) -> Any:
    """Return numbers as JSON numbers where the text is one (PS3.18 F.2.3); others stay text."""
    if not text:
        return None
    convert = float if vr in ("DS", "FL", "FD") else int if vr in ("IS", "SL", "SS", "UL", "US", "SV", "UV") else None
    if convert is None:
        return text
    try:
        return convert(text)
    except ValueError:
        return text
