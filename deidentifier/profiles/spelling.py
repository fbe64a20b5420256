"""How names and identifiers are written: folded, in other letters, in parts, together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

TITLES = frozenset(
    ("dipl", "dott", "dr", "dra", "frau", "herr", "herrn", "ii", "iii", "iv", "jr", "md", "med", "miss", "mlle", "mme",
     "mr", "mrs", "ms", "pd", "phd", "prof", "sir", "sr", "sra")
)  # fmt: skip
"""What stands before and after names: it identifies nobody, and MR is a modality, too."""

PLACEHOLDERS = frozenset(
    ("anonymous", "anonymized", "anonymised", "anonymize", "anon", "removed", "deleted", "none", "null", "unknown",
     "unspecified", "dummy", "test", "patient", "phantom", "na", "nil", "blank", "empty", "noname", "no", "name", "xxx",
     "xxxx", "default", "other")
)  # fmt: skip
"""What stands in the place of a value that was never there, or is gone already."""

_WORD = re.compile(r"\w+")
_LONG_WORD = re.compile(r"\w{5,}")  # Mueller, not Doe
_PIECE = re.compile(r"[^\W\d_]+|\d+")
# Between a small and a capital letter, and before the last of several capitals (``AAHead``).
_CAMEL = re.compile(r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-ÞŁŻ])|(?<=[A-Z])(?=[A-Z][a-z])")
# Letters that Unicode does not take apart into a base letter and a mark.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t", "ß": "ss"}
)
_DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_UMLAUTS = (("ae", "ä"), ("oe", "ö"), ("ue", "ü"))
_CYRILLIC = str.maketrans(
    {**dict(zip("абвгдеёзийклмнопрстуфыэіґ", "abvgdeeziyklmnoprstufyeig", strict=True)),
     "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ю": "yu", "я": "ya",
     "ї": "yi", "є": "ye", "ъ": "", "ь": ""}
)  # fmt: skip


def fold(text: str) -> str:
    """Fold case and drop diacritics, so that ``Schädel`` and ``SCHADEL`` compare as equal."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return bare.translate(_LETTERS)


def in_other_letters(text: str) -> Iterator[str]:
    """Yield a name in the letters that people choose where theirs are missing: ``Müller`` and ``Mueller``."""
    lower = unicodedata.normalize("NFC", text).casefold()
    for written in (lower.translate(_DIGRAPHS), lower.translate(_CYRILLIC)) if not text.isascii() else ():
        if written != lower:
            yield written
    for two, one in _UMLAUTS:
        written = _LONG_WORD.sub(lambda match: match[0].replace(two, one), lower)  # noqa: B023, used at once
        if written != lower:
            yield written


def words_of(text: str) -> list[str]:
    """Return the words of a text, folded; an underscore separates words."""
    return _WORD.findall(fold(text).replace("_", " "))


def pieces_of(text: str) -> list[str]:
    """Return the pieces of a word or text, folded: between digits and letters, small letters and capitals."""
    return _PIECE.findall(fold(_CAMEL.sub(" ", text)))


def header_terms(values: Iterable[str]) -> frozenset[str]:
    """Collect the words of identifying values, folded: each by itself, those of a component and of a value together.

    Numbers of one or two digits are left out: they identify nobody, and stand in any description.
    """
    terms: set[str] = set()
    for value in values:
        for spelled in (value, *in_other_letters(value)):
            terms.add("".join(words_of(spelled)))
            for group in spelled.split("="):
                components = [words for part in group.split("^") if (words := words_of(part))]
                joined = ["".join(words) for words in components]
                terms.update(word for words in components for word in words)
                terms.update(word.lstrip("0") for words in components for word in words if word.isdigit())
                terms.update(joined)
                if "^" in group:
                    terms.update(_together(joined[:2]))
    return frozenset(term for term in terms if len(term) > 2 or (len(term) > 1 and not term.isdigit()))


def _together(names: list[str]) -> Iterator[str]:
    """Yield two names in one word, either one whole (``annasmith``, ``smitha``, ``asmith``)."""
    for first, second in (names, names[::-1]) if len(names) > 1 else ():
        yield from (first + second, first + second[0], second[0] + first)
