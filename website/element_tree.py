"""The element document of an instance as a tree that a page can draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ElementNode:
    """One element; ``items`` holds the elements of each item of a sequence and is None for anything else.

    Attributes
    ----------
    tag
        ``gggg,eeee``.
    keyword
        Empty where there is no standard one.
    text
        Its values, joined by backslashes as DICOM does; empty for binary and empty values.
    """

    tag: str
    keyword: str
    text: str
    items: tuple[tuple[ElementNode, ...], ...] | None = None


def build_tree(document: Mapping[str, Any]) -> tuple[ElementNode, ...]:
    """Turn an element document (doc/reference/json.md) into nodes, in the order of their tags."""
    return tuple(_node(key, document[key]) for key in sorted(document))


def _node(key: str, value: Any) -> ElementNode:
    tag, _, keyword = key.partition(" ")
    values = value if isinstance(value, list) else [value]
    if any(isinstance(each, Mapping) for each in values):
        items = tuple(build_tree(each) for each in values if isinstance(each, Mapping))
        return ElementNode(tag, keyword, "", items)
    return ElementNode(tag, keyword, "\\".join("" if each is None else str(each) for each in values))


def value_of(document: Mapping[str, Any], keyword: str) -> str:
    """Return the first value of a top-level element by its keyword; empty where it is absent."""
    for key, value in document.items():
        if key.endswith(f" {keyword}"):
            first = value[0] if isinstance(value, list) and value else value
            return "" if isinstance(first, (Mapping, list)) or first is None else str(first)
    return ""
