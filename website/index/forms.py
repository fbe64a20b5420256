"""What the operators read in texts, computed once, when a document is added, by the functions that ``match`` uses."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import uuid
from typing import Any

from common.query.texts import date_of, fold, number_of

UID, META_UID = 1, 2
"""Paths of SOPInstanceUID and MediaStorageSOPInstanceUID (``2010_index.sql``): always stored with the instance. The
second is stored only where it differs from the first, as PS3.10 7.1 says that it never does."""
ODD = "odd"
"""Marks an instance whose UID is not one value, or whose two UIDs differ: those that the index of UIDs cannot find."""

# The texts that PostgreSQL reads as the number that ``number_of`` reads. The same expression stands in predicates.py.
PLAIN_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")

Texts = list[str]


def numbers_of(texts: Texts) -> list[float | None] | None:
    """Return the number of each text, None where none is one."""
    numbers = [number_of(text) for text in texts]
    return numbers if any(number is not None for number in numbers) else None


def days_of(texts: Texts) -> list[int | None] | None:
    """Return the day of each text, None where none is a date."""
    days = [date_of(text) for text in texts]
    return days if any(day is not None for day in days) else None


def folded_of(texts: Texts) -> list[str] | None:
    """Return the folded texts, None where they are as they were."""
    folded = [fold(text) for text in texts]
    return folded if folded != list(texts) else None


def sort_key_of(texts: Texts) -> str | None:
    """Return a key that sorts, byte by byte, numbers before texts and numbers by value; None without a value."""
    if not texts or not texts[0]:
        return None
    number = number_of(texts[0])
    if number is None:
        return "1" + fold(texts[0])[:64]
    (bits,) = struct.unpack(">Q", struct.pack(">d", number + 0.0))
    ordered = bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 1 << 63)
    return f"0{ordered:016x}"


def key_of(text: str) -> uuid.UUID:
    """Return the key under which a dictionary finds a text."""
    return uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())


def texts_key(texts: Texts) -> uuid.UUID:
    """Return the key of a list of texts."""
    return key_of(json.dumps(list(texts), separators=(",", ":")))


def entries(path: int, texts: Texts | None) -> dict[str, Any]:
    """Return what the delta of an instance says of a path; None for texts says that the element is absent."""
    if texts is None:
        return {str(path): None}
    found: dict[str, Any] = {str(path): list(texts)}
    if all(text.isdigit() and text.isascii() and len(text) < 8 for text in texts):
        return found  # most of what varies is a small number, and that is plain
    folded, numbers, days = folded_of(texts), numbers_of(texts), days_of(texts)
    if folded is not None:
        found[f"f{path}"] = folded
    if numbers is not None and any(
        number is not None and not PLAIN_NUMBER.fullmatch(text) for number, text in zip(numbers, texts, strict=True)
    ):
        found[f"n{path}"] = numbers
    if days is not None:
        found[f"d{path}"] = days
    return found


def delta_of(base: dict[int, Texts], values: dict[int, Texts]) -> dict[str, Any]:
    """Return how an instance differs from the base of its series."""
    uid, meta_uid = values.get(UID), values.get(META_UID)
    delta = entries(UID, uid)
    if meta_uid != uid:
        delta.update(entries(META_UID, meta_uid))
    if meta_uid != uid or uid is None or len(uid) != 1 or f"f{UID}" in delta:
        delta[ODD] = 1
    for path, texts in values.items():
        if path > META_UID and base.get(path) != texts:
            delta.update(entries(path, texts))
    for path in base.keys() - values.keys():
        delta.update(entries(path, None))
    return delta


def paths_of(delta: dict[str, Any]) -> set[int]:
    """Return the paths that a delta speaks of, but for the UIDs."""
    return {int(key) for key in delta if key.isdigit()} - {UID, META_UID}
