"""What follows from the identifying values of an instance: which words do not stay, what the leak check looks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from common.dicom_text import decode_text
from deidentifier.profiles.clean_text import clean_text, default_vocabulary, explain_words
from deidentifier.profiles.spelling import PLACEHOLDERS, TITLES, header_terms, pieces_of, words_of
from deidentifier.profiles.telltale import IDENTIFIER

if TYPE_CHECKING:
    from deidentifier.leak_patterns import Patterns
    from deidentifier.profiles.named_entities import Recogniser

_REMEMBERED = 20_000
_PLACES = ("place", "station", "address", "phone")
_NUMBER = 4  # digits from which on a number is one of an address, not a part of one
_LONG = 6  # letters from which on a word is one wherever it stands, as in the leak check

Value = tuple[str, bytes, tuple[str, ...]]
"""A kind, the bytes of a value, and the character sets in force."""

# Devices write their maker's name where an institution or a station was never entered: it identifies neither.
MAKERS = frozenset(
    ("acuson", "agfa", "aloka", "bruker", "canon", "carestream", "elekta", "elscint", "esaote", "fuji", "fujifilm",
     "ge", "healthcare", "healthineers", "hitachi", "hologic", "kodak", "konica", "konicaminolta", "lorad", "marconi",
     "mec", "medison", "mindray", "minolta", "neusoft", "philips", "samsung", "shimadzu", "siemens", "toshiba",
     "varian", "ziehm")
)  # fmt: skip


@lru_cache(maxsize=4)
def _with_makers(vocabulary: frozenset[str]) -> frozenset[str]:
    return vocabulary | MAKERS


@dataclass(frozen=True)
class Term:
    """An identifying value as text, with its kind."""

    kind: str
    text: str


@dataclass(frozen=True)
class Word:
    """What becomes of a word, and why."""

    text: str = field(repr=False)
    kept: bool
    reason: str


class Identity:
    """What follows from the identifying values of an instance.

    Attributes
    ----------
    values
        The values as text.
    words
        Their words, folded: none of them stays in a text that is cleaned.
    patterns
        What the leak check searches for, once it has been worked out.
    """

    def __init__(
        self,
        values: tuple[Value, ...],
        vocabulary: frozenset[str] | None = None,
        recogniser: Recogniser | None = None,
    ) -> None:
        self._vocabulary = vocabulary or default_vocabulary()
        self._find = recogniser.find if recogniser is not None else None
        found = tuple(dict.fromkeys(_terms(values)))
        machine = frozenset(word for term in found if term.kind == "machine" for word in words_of(term.text))
        # Stations are often called like the model of their machine, which may be told.
        self.values = tuple(
            term
            for term in found
            if term.kind != "machine" and not (term.kind == "station" and machine.issuperset(words_of(term.text)))
        )
        common = _with_makers(self._vocabulary)
        names = self._terms_of("name") - TITLES - PLACEHOLDERS
        # A part of a telephone number, or the number of a house, stands in any description.
        others = {
            word for word in self._terms_of(*_PLACES, common=common) if not (word.isdigit() and len(word) < _NUMBER)
        }
        identifiers = self._terms_of("identifier", "birth date", common=common)
        # A hospital called Head Center does not make the head a secret.
        self.words = names | ((others | identifiers) - common)
        # Nor does a patient of that name, where a machine speaks of itself; every machine of a maker names it.
        self._telling = self.words - common
        self._long = tuple(word for word in self._telling if len(word) >= _LONG)
        self.patterns: Patterns | None = None
        self._cleaned: dict[str, str] = {}
        self._technical: dict[str, str] = {}

    def _terms_of(self, *kinds: str, common: frozenset[str] = frozenset()) -> frozenset[str]:
        """Return the words of values, but of those that are made of common words alone."""
        texts = (term.text for term in self.values if term.kind in kinds)
        return header_terms(text for text in texts if not common or not common.issuperset(words_of(text)))

    def clean(self, text: str) -> str:
        """Return a description with its harmless words alone."""
        found = self._cleaned.get(text)
        if found is None:
            cleaned = clean_text(text, terms=self.words, vocabulary=self._vocabulary, find=self._find)
            found = _remember(self._cleaned, text, cleaned)
        return found

    def strip(self, text: str) -> str:
        """Return a technical text without what stands in the header and what looks like an identifier."""
        found = self._technical.get(text)
        if found is None:
            found = _remember(self._technical, text, self._strip(text))
        return found

    def _strip(self, text: str) -> str:
        if not IDENTIFIER.search(text) and not self.names(text):
            return text
        return self.clean(IDENTIFIER.sub(" ", text))

    def explain(self, text: str) -> list[Word]:
        """Tell of each word of a description whether it stays, and why."""
        decisions = explain_words(text, terms=self.words, vocabulary=self._vocabulary, find=self._find)
        return [Word(text[each.start : each.end], each.kept, each.reason) for each in decisions]

    def explain_technical(self, text: str) -> list[Word]:
        """Tell the same of a technical text; nothing where it stays as it is."""
        if self.strip(text) == text:
            return []
        suspicious = [Word(match[0], False, "looks like an identifier") for match in IDENTIFIER.finditer(text)]
        return suspicious + self.explain(IDENTIFIER.sub(" ", text))

    def names(self, text: str) -> bool:
        """Tell whether a technical text, or a code, holds a word of the identifying values that is no common word.

        Alone, in parts (``Smi Th``), as a piece (``SmithJ2``), or, where it is long, anywhere in another word.
        """
        words = words_of(text)
        runs = ("".join(words[first:last]) for first in range(len(words)) for last in range(first + 1, first + 4))
        if not self._telling.isdisjoint((*runs, *pieces_of(text))):
            return True
        return any(term in word for word in words if word not in self._vocabulary for term in self._long)


def _remember(memory: dict[str, str], key: str, value: str) -> str:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


def _terms(values: tuple[Value, ...]) -> Iterator[Term]:
    for kind, raw, encodings in values:
        for text in decode_text(raw, encodings).split("\\"):
            if text.strip(" \0"):
                yield Term(kind, text.strip(" \0"))
