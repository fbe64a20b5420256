"""Clean Descriptors Option (PS3.15 E.3.8): keep the words that are known to be harmless, remove the rest.

A value is cut into words; a word stays when it is in the vocabulary, a small number, a number with a unit, or a
short code of a protocol (``T1``, ``B30f``), and when it is no part of what the instance's own header says about the
person. Where the site has a model that finds named entities, a word inside one does not stay either: the model may only
take away more. What is removed leaves no trace; a value of which nothing but punctuation stays becomes empty. Every
decision can be explained: :func:`explain_words` gives the reason for each word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import ConfigurationError, ResearchPacsError
from common.storage import Storage
from deidentifier.profiles.spelling import fold, pieces_of
from deidentifier.profiles.telltale import TELLTALE

if TYPE_CHECKING:
    from deidentifier.profiles.named_entities import Entity

Find = Callable[[str], Sequence["Entity"]]
"""Finds the named entities of a text."""

# Three or more numbers in a row are one word: a date or a telephone number, not three small numbers.
# Marks that are combined with the letter before them (U+0300 and following) are part of a word.
_WORD = re.compile(r"\d+(?:[-./:\s]+\d+){2,}|\w[\w\u0300-\u036f]*(?:[.,]\d+)?[\w\u0300-\u036f]*")
# SI and clinical units that follow a number, with or without a space (``5 mm``, ``120kV``).
_UNITS = frozenset(
    ("mm", "cm", "m", "um", "ms", "s", "sec", "min", "h", "hr", "hrs", "mg", "g", "kg", "ml", "l", "cc", "kv", "kvp",
     "ma", "mas", "mgy", "gy", "mgycm", "hz", "khz", "mhz", "t", "tesla", "deg", "grad", "bar", "mmhg", "bpm", "hu",
     "ev", "kev", "mev", "bq", "kbq", "mbq", "gbq", "mci", "uci", "mol", "mmol", "ppm", "frames", "fr", "slices", "sl",
     "px", "pixel", "pixels", "channel", "channels", "ch", "phases", "ph")
)  # fmt: skip
_UNIT = "|".join(sorted(_UNITS, key=lambda unit: (-len(unit), unit)))
_QUANTITY = re.compile(rf"\d{{1,4}}(?:[.,]\d{{1,4}})?(?:{_UNIT})?|\d{{1,4}}x\d{{1,4}}(?:x\d{{1,4}})?|\d{{1,3}}d")
# ``T1``, ``L5``, ``B30f``, ``C3``: too short to name somebody. Four digits could be a year or an identifier.
_CODE = re.compile(r"[a-z]{1,2}\d{1,2}[a-z]?")
# b-values of diffusion, in s/mm²: ``b1000``, ``b=800``.
_B_VALUE = re.compile(r"b?\d{0,2}[05]0")
_B = frozenset(("b", "bvalue"))
# The dose of a target, in cGy (``PTV_7000``).
_DOSE, _TARGET = re.compile(r"[1-9]\d{2}0"), re.compile(r"(ptv|ctv|gtv|itv)\w?")
# ``Omnipaque300``, ``Head2``, ``PTV60Gy``; ``4scan``.
_NUMBERED = re.compile(r"(?P<word>[^\W\d]{3,})\d{1,3}(?:c?gy|mm)?|\d{1,2}(?P<behind>[^\W\d]{3,})")
_QUANTIFIED, _OF_UNIT = "a number with a unit", "a unit behind another"
_MIXED = re.compile(r"[^\W\d_]+\d{0,3}")
_SMALL = re.compile(r"\d{1,3}|\d{1,3}[.,]\d{1,3}")


@dataclass(frozen=True)
class WordDecision:
    """What happens to one word: its place in the value, whether it stays, and why."""

    start: int
    end: int
    kept: bool
    reason: str


@cache
def default_vocabulary() -> frozenset[str]:
    """Read the vocabulary that comes with the package."""
    folder = Path(__file__).parent
    return frozenset().union(
        *(read_vocabulary((folder / name).read_text(encoding="utf-8")) for name in ("vocabulary.txt", "code-words.txt"))
    )


def read_vocabulary(text: str) -> frozenset[str]:
    """Read a vocabulary: words separated by white space, ``#`` begins a comment line."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return frozenset(fold(word) for line in lines for word in line.split())


def site_vocabulary(location: str, storage: Storage) -> frozenset[str]:
    """Read a site's own vocabulary; empty where there is none.

    Raises
    ------
    ConfigurationError
        It cannot be read.
    """
    if not location:
        return frozenset()
    try:
        return read_vocabulary(storage.read(location).decode("utf-8"))
    except (ResearchPacsError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"RPACS_VOCABULARY_FILE: {location} cannot be read: {type(exc).__name__}") from exc


def explain_words(
    value: str,
    *,
    terms: frozenset[str] = frozenset(),
    vocabulary: frozenset[str] | None = None,
    find: Find | None = None,
) -> list[WordDecision]:
    """Decide about each word of a value.

    Parameters
    ----------
    value
        Decoded text of one value.
    terms
        :func:`~deidentifier.profiles.spelling.header_terms` of the instance: they never stay, though
        they were in the vocabulary.
    vocabulary
        Folded words that may stay; the default one if None.
    find
        Finds named entities: of the words that would stay, those inside one go.
    """
    decisions = list(_by_rules(value, terms, default_vocabulary() if vocabulary is None else vocabulary))
    if find is None or not any(decision.kept for decision in decisions):
        return decisions
    entities = find(value)
    return [_outside(decision, entities) for decision in decisions]


def _by_rules(value: str, terms: frozenset[str], vocabulary: frozenset[str]) -> Iterator[WordDecision]:
    words = [(match.start(), match.end(), fold(match.group())) for match in _words(value)]
    spelled = _spelled_out([word for _, _, word in words])
    telling = [match.span() for match in TELLTALE.finditer(value)]
    kept = ""
    for position, (start, end, word) in enumerate(words):
        reason = _reason_to_remove(word, words, position, terms, spelled)
        if reason is None and any(start < last and first < end for first, last in telling):
            reason = "a date, an age of 90 or more, or an identifier"
        if reason is None:
            kept = (
                _unit_after(word, kept)
                or _reason_to_keep(word, words, position, vocabulary)
                or _of_pieces(value[start:end], terms, vocabulary)
            )
            yield WordDecision(start, end, bool(kept), kept or "not in the vocabulary")
        else:
            kept = ""
            yield WordDecision(start, end, False, reason)


def _of_pieces(word: str, terms: frozenset[str], vocabulary: frozenset[str]) -> str:
    """Return why a word in mixed case stays (``SpinalCord``): all its pieces would."""
    pieces = pieces_of(word) if _MIXED.fullmatch(word) and not (word.islower() or word.isupper()) else []
    if len(pieces) > 1 and all(piece in vocabulary or (piece.isdigit() and len(piece) < 4) for piece in pieces):
        return "" if any(piece in terms for piece in pieces) else "all its pieces are in the vocabulary"
    return ""


def _unit_after(word: str, before: str) -> str:
    """Return why a unit stays behind a number and another unit (``300 mg/ml``)."""
    return _OF_UNIT if word in _UNITS and before in (_OF_UNIT, _QUANTIFIED) else ""


def _outside(decision: WordDecision, entities: Sequence[Entity]) -> WordDecision:
    """Let a word go that would stay, but is part of an entity."""
    for entity in entities if decision.kept else ():
        if decision.start < entity.end and entity.start < decision.end:
            return WordDecision(decision.start, decision.end, False, f"named entity ({entity.label})")
    return decision


def clean_text(
    value: str,
    *,
    terms: frozenset[str] = frozenset(),
    vocabulary: frozenset[str] | None = None,
    find: Find | None = None,
) -> str:
    """Return the value without the words that may not stay; empty when no word stays."""
    # What was apart may be a date, or a name, when the words between are gone.
    while (cleaned := _without(value, explain_words(value, terms=terms, vocabulary=vocabulary, find=find))) != value:
        value = cleaned
    return value


def _without(value: str, decisions: list[WordDecision]) -> str:
    if all(decision.kept for decision in decisions):
        return value if decisions else ""
    kept, position = [], 0
    for decision in decisions:
        kept.append(value[position : decision.start])
        if decision.kept:
            kept.append(value[decision.start : decision.end])
        position = decision.end
    if not any(decision.kept for decision in decisions):
        return ""
    return _tidy("".join(kept) + value[position:])


def _words(value: str) -> Iterator[re.Match[str]]:
    # An underscore separates words in protocol names (``t1_tse_sag``).
    return _WORD.finditer(value.replace("_", " "))


def _spelled_out(words: list[str]) -> frozenset[int]:
    """Find runs of three or more single letters: a name spelled with spaces (``S M I T H``)."""
    found: set[int] = set()
    run: list[int] = []
    for position, word in enumerate([*words, "  "]):
        if len(word) == 1 and word.isalpha():
            run.append(position)
            continue
        if len(run) >= 3:
            found.update(run)
        run = []
    return frozenset(found)


def _reason_to_remove(
    word: str, words: list[tuple[int, int, str]], position: int, terms: frozenset[str], spelled: frozenset[int]
) -> str | None:
    if position in spelled:
        return "single letters in a row"
    numbered = _NUMBERED.fullmatch(word)
    if word in terms or (numbered and (numbered["word"] or numbered["behind"]) in terms):
        return "stands in the header"
    # ``An derson``: two words that together are one of the header's.
    for neighbour in (position - 1, position):
        if 0 <= neighbour < len(words) - 1 and words[neighbour][2] + words[neighbour + 1][2] in terms:
            return "stands in the header"
    return None


def _reason_to_keep(
    word: str, words: list[tuple[int, int, str]], position: int, vocabulary: frozenset[str]
) -> str | None:
    if word in vocabulary:
        return "in the vocabulary"
    numbered = _NUMBERED.fullmatch(word)
    if numbered and (numbered["word"] or numbered["behind"]) in vocabulary:
        return "in the vocabulary, with a number"
    if _is_compound(words, position, vocabulary) or _is_compound(words, position - 1, vocabulary):
        return "in the vocabulary, with the word beside it"
    following = words[position + 1][2] if position + 1 < len(words) else ""
    if _SMALL.fullmatch(word):
        return "a small number" if following not in _UNITS else _QUANTIFIED
    if _QUANTITY.fullmatch(word) and (not word.isdigit() or following in _UNITS):
        return _QUANTIFIED
    if _B_VALUE.fullmatch(word) and (word[0] == "b" or (position and words[position - 1][2] in _B)):
        return "a b-value"
    if _DOSE.fullmatch(word) and position and _TARGET.fullmatch(words[position - 1][2]):
        return "the dose of a target"
    if _CODE.fullmatch(word):
        return "a short code"
    return None


def _is_compound(words: list[tuple[int, int, str]], position: int, vocabulary: frozenset[str]) -> bool:
    """Tell whether a word and the next one, one sign away, are a word together (``X-ray``, ``Follow-up``)."""
    if not 0 <= position < len(words) - 1:
        return False
    (_, end, first), (start, _, second) = words[position : position + 2]
    return start == end + 1 and first + second in vocabulary


def _tidy(text: str) -> str:
    text = re.sub(r"[\s_]*([,;:/|+&-])(?:[\s_]*[,;:/|+&-])+", r"\1", text)
    text = re.sub(r"\(\s*\)|\[\s*\]|\{\s*\}", "", text)
    text = re.sub(r"(?<![^\s_])[.,]+(?=[\s_])", "", text)
    text = re.sub(r"([\s_])[\s_]+", r"\1", text)
    return text.strip(" _,;:/|+&-^@.\t\r\n")
