"""Tags, keywords and tag paths, as the rules, the queries and the permissions write them.

A tag is an ``int`` (``0x00100010``). A tag path names an element inside sequences, outermost first, as a tuple of
tags; item numbers are not part of it (any item matches). Keywords are those of PS3.6, by pydicom's dictionary.
"""

from __future__ import annotations

import difflib
import re
from functools import cache

from common.dicom_dictionary import DicomDictionary, RepeatersDictionary

TagPath = tuple[int, ...]

_ENOUGH = 4
"""Letters that tell which word is begun."""
_HEX_TAG = re.compile(r"[0-9A-Fa-f]{8}")


@cache
def keywords() -> dict[str, int]:
    """Map each keyword of PS3.6 to its tag; a repeating group's keyword to its first group (6000, 5000)."""
    table = {entry[4]: tag for tag, entry in DicomDictionary.items() if entry[4]}
    for mask, entry in RepeatersDictionary.items():
        if entry[4]:
            table.setdefault(entry[4], int(mask.replace("x", "0"), 16))
    return table


@cache
def keyword_of(tag: int) -> str:
    """Return the keyword of a tag of PS3.6, or an empty string (private, unknown, repeating groups)."""
    entry = DicomDictionary.get(tag)
    return entry[4] if entry else ""


def parse_tag(text: str) -> int:
    """Parse a keyword (case-sensitive) or an 8-digit hexadecimal tag.

    Raises
    ------
    ValueError
        Says what is wrong and, for a keyword, the nearest one.
    """
    if text in keywords():
        return keywords()[text]
    if _HEX_TAG.fullmatch(text):
        return int(text, 16)
    near = nearest(text, keywords())
    hint = f", did you mean {near}?" if near else ""
    raise ValueError(f"{text}: no such keyword{hint}")


def parse_tag_path(text: str) -> TagPath:
    """Parse keywords and tags joined by dots, outermost first; raises ``ValueError`` as :func:`parse_tag` does."""
    return tuple(parse_tag(part) for part in text.split("."))


def format_tag(tag: int) -> str:
    """Write a tag as 8 upper-case hexadecimal digits."""
    return f"{tag:08X}"


def format_tag_path(path: TagPath) -> str:
    """Write a tag path with keywords where there are any, so that :func:`parse_tag_path` gives it back."""
    return ".".join(keyword_of(tag) or format_tag(tag) for tag in path)


def is_private(tag: int) -> bool:
    """Tell whether a tag is of an odd group (private creators included)."""
    return bool(tag >> 16 & 1)


def nearest(word: str, known: dict[str, int] | list[str]) -> str | None:
    """Return the known word most like a misspelt one, or the only one that begins so; None where there is none."""
    lowered = {name.lower(): name for name in known}
    if word.lower() in lowered:
        return lowered[word.lower()]
    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.75)
    begun = [name for name in lowered if len(word) >= _ENOUGH and name.startswith(word.lower())]
    near = found or (begun if len(begun) == 1 else [])
    return lowered[near[0]] if near else None
