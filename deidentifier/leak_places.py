"""Elements in which the leak check found something: where they are, and whether it merely happens to stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from common.dicom_dataset import DataSet, Element, Item
from common.dicom_head import Head
from common.dicom_text import decode_text
from common.errors import InvalidDicomError
from deidentifier.profiles.clean_text import default_vocabulary
from deidentifier.profiles.identity import MAKERS
from deidentifier.profiles.place import technical
from deidentifier.profiles.spelling import fold, words_of
from deidentifier.profiles.tables import read_safe_private

_NUMBERS = frozenset(("DS", "IS", "UI"))
_NO_TEXT = frozenset(("DA", "DT", "TM"))
_TEXT = frozenset(("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


@dataclass(frozen=True)
class Leaf:
    """An element of the result that is no sequence."""

    path: str
    heads: tuple[Head, ...]
    start: int
    value: int
    end: int
    dataset: DataSet

    @property
    def raw(self) -> bytes:
        """The bytes of the value."""
        return self.dataset.scan.data[self.value : self.end]

    @property
    def text(self) -> str:
        """The value as text."""
        return decode_text(self.raw, self.dataset.encodings)


def leaves_of(dataset: DataSet, path: str = "", heads: tuple[Head, ...] = ()) -> Iterator[Leaf]:
    """Yield the elements of a data set that are no sequences, at every depth; not the pixels."""
    for element in dataset.elements:
        head, start, value, end = element
        if head.tag in _PIXELS and not heads:
            continue
        inner = (*heads, head)
        items = _items(dataset, element) if head.vr == "SQ" else []
        if items:
            for number, item in enumerate(items):
                yield from leaves_of(item, f"{path}{head.name}[{number}].", inner)
        else:
            yield Leaf(path + head.name, inner, start, value, end, dataset)


def _items(dataset: DataSet, element: Element) -> list[Item]:
    try:
        return dataset.items(element)
    except InvalidDicomError:
        return []


def stands_by_chance(leaf: Leaf, text: str, offset: int) -> bool:
    """Tell whether a value that was found at an offset of the file merely happens to stand in an element.

    Digits in a longer number, or in a date, which is compared by its path; a name in a word of the vocabulary (*Corona*
    in ``CORONAL``); a maker's name where every machine of the maker writes it.
    """
    vr = leaf.heads[-1].vr
    if vr in _NO_TEXT or _is_of_maker(leaf, text):
        return True
    if vr in _TEXT or vr == "CS":
        return _stands_in_known_words(leaf, text, offset)
    if vr not in _NUMBERS or not text or not re.fullmatch(r"[\d.]+", text):
        return False
    whole = rf"(?<![\d.]){re.escape(text)}(?![\d.])" if vr != "UI" else rf"(?<!\d){re.escape(text)}(?!\d)"
    return re.search(whole, leaf.raw.decode("latin-1")) is None


@cache
def _creators() -> frozenset[str]:
    return frozenset(creator for creator, _, _ in read_safe_private())


def _is_of_maker(leaf: Leaf, text: str) -> bool:
    """Tell whether a creator that PS3.15 lists, or a maker's name in a technical text, was taken for a name."""
    head = leaf.heads[-1]
    if head.is_creator:
        return leaf.text.strip(" \0") in _creators()
    return head.keyword in technical() and fold(text) in MAKERS


def _stands_in_known_words(leaf: Leaf, text: str, offset: int) -> bool:
    """Tell whether a value stands nowhere in a text but inside of longer words of the vocabulary, as plain ASCII."""
    searched, known = fold(text), default_vocabulary()
    found = leaf.dataset.scan.data[offset : offset + len(text)]
    if not searched.isalpha() or found.lower() != text.lower().encode("ascii", "replace"):
        return False
    words = [word for word in words_of(leaf.text) if searched in word]
    return bool(words) and all(word != searched and word in known for word in words)


def holds_word(leaf: Leaf, word: str) -> bool:
    """Tell whether a folded word stands in an element of text, not only as the name of the machine's maker."""
    if leaf.heads[-1].vr not in _TEXT or _is_of_maker(leaf, word):
        return False
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", fold(leaf.text).replace("_", " ")) is not None
