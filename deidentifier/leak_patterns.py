"""How an identifying value may be written: its spellings, as bytes that are searched all at once."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick

from deidentifier.profiles.clean_text import default_vocabulary
from deidentifier.profiles.identity import MAKERS, Identity, Term
from deidentifier.profiles.spelling import PLACEHOLDERS, TITLES, fold, in_other_letters

MIN_RAW = 6
"""Bytes from which on a value is searched in all bytes; a shorter one only as a word of text."""

_SEARCHED = 64
"""Bytes of a spelling that are searched: each takes a kilobyte. Of a longer text its pieces are searched, too."""
_PIECE = 20
_PIECES = 8
"""A text that is longer than what is searched of it is cut between words into so many pieces of so many characters."""
_MIN_WORD = 3
_MIN_WIDE = 5  # in UTF-16 these are ten bytes
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
# In German, French, Italian, Dutch, Spanish and Portuguese.
_MONTHS_ELSEWHERE = (
    ("{day}. {month} {year}", "januar februar märz april mai juni juli august september oktober november dezember"),
    ("{day} {month} {year}", "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
    ("{day} {month} {year}",
     "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"),
    ("{day} {month} {year}", "januari februari maart april mei juni juli augustus september oktober november december"),
    ("{day} de {month} de {year}",
     "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
    ("{day} de {month} de {year}",
     "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"),
)  # fmt: skip
_SPELLINGS_OF_NAMES = ("{0} {1}", "{1} {0}", "{0}, {1}", "{0},{1}", "{1}, {0}", "{0}{1}", "{1}{0}", "{1}.{0}",
                       "{0}.{1}", "{0}_{1}", "{1}_{0}", "{0}-{1}", "{1}-{0}", "{0}^{1}", "{1}^{0}")  # fmt: skip


class Pattern(NamedTuple):
    """One spelling: what is searched, in lower case; the class of value, its text, and how it counts.

    ``exact`` are the bytes as they must stand there, where case matters (base64). ``word`` is the folded text of a
    value that is too short for any bytes: it counts as a word of text.
    """

    lowered: bytes
    kind: str
    text: str
    exact: bytes = b""
    word: str = ""


class Patterns:
    """The spellings of the identifying values of an instance, searched all at once.

    Attributes
    ----------
    found
        By number; :meth:`search` returns numbers with the offsets where they begin and end.
    """

    def __init__(self, identity: Identity) -> None:
        found: dict[bytes, Pattern] = {}
        for term in identity.values:
            for pattern in _patterns_of(term):
                found.setdefault(pattern.exact or pattern.lowered, pattern)
        self.found = list(found.values())
        self._automaton = BytesAhoCorasick([pattern.lowered for pattern in self.found])

    def search(self, lowered: bytes) -> list[tuple[int, int, int]]:
        """Return the number, start and end of every pattern that stands in some bytes in lower case."""
        return self._automaton.find_matches_as_indexes(lowered, overlapping=True)


# Each takes about 20 KB.
@lru_cache(maxsize=512)
def _patterns_of(term: Term) -> tuple[Pattern, ...]:
    """Return the patterns of one value: physicians and institutions come again with every patient."""
    texts = dict.fromkeys(text.strip() for text in _spellings(term))
    return tuple(pattern for text in texts for pattern in _patterns(term.kind, text, term.text))


def _patterns(kind: str, text: str, original: str) -> Iterator[Pattern]:
    forms = tuple(dict.fromkeys(_forms(text) if not text.isascii() else (text,)))
    encoded = dict.fromkeys(each for form in forms for each in _encoded(form))
    if all(len(each) < MIN_RAW for each in encoded):
        if len(text) >= _MIN_WORD:
            yield from (Pattern(each.lower(), kind, text, word=fold(text)) for each in encoded)
        if len(text) < _MIN_WIDE:
            return
    for each in encoded:
        if len(each) >= MIN_RAW:
            yield Pattern(each[:_SEARCHED].lower(), kind, text)
    for form in dict.fromkeys((text, text.upper(), text.lower())) if kind == "name" or text in original else ():
        for each in _encoded(form):
            if len(each) >= MIN_RAW:
                pieces = (piece[:_SEARCHED] for piece in in_base64(each))
                yield from (Pattern(piece.lower(), kind, text, exact=piece) for piece in pieces)
    for form in forms:
        wide = (form.encode(code)[:_SEARCHED] for code in ("utf-16-le", "utf-16-be"))
        yield from (Pattern(each.lower(), kind, text) for each in wide)


def _forms(text: str) -> tuple[str, ...]:
    """Return a text that is not ASCII in upper and lower case, with marks apart, and without them."""
    return text, text.upper(), text.casefold(), unicodedata.normalize("NFD", text), fold(text)


def _encoded(text: str) -> list[bytes]:
    """Return a text in the encodings that files of its kind are in."""
    if text.isascii():
        return [text.encode("ascii")]
    found = [text.encode("utf-8")]
    for encoding in ("latin-1", "iso8859_2", "iso8859_5", "iso8859_7", "gb18030", "shift_jis", "euc_kr", "iso2022_jp"):
        try:
            found.append(text.encode(encoding))
        except UnicodeEncodeError:
            continue
    return list(dict.fromkeys(found))


def in_base64(raw: bytes) -> Iterator[bytes]:
    """Yield what a value looks like in base64, wherever among other bytes it begins (RFC 4648 4)."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        first = (before * 4 + 2) // 3
        last = (before + len(raw)) * 4 // 3
        if last - first >= MIN_RAW:
            yield encoded[first:last]


@lru_cache(maxsize=4096)
def beginnings_elsewhere(beginning: bytes) -> tuple[bytes, ...]:
    """Return how the first bytes of a UID may stand in UTF-16 and in base64: most of an instance's begin alike."""
    text = beginning.decode("latin-1")
    return (text.encode("utf-16-le"), text.encode("utf-16-be"), *in_base64(beginning))


@lru_cache(maxsize=4096)
def forms_elsewhere(uid: bytes) -> tuple[bytes, ...]:
    """Return how a UID may stand in UTF-16 and in base64."""
    text = uid.decode("latin-1")
    return (text.encode("utf-16-le"), text.encode("utf-16-be"), *in_base64(uid))


def patterns_of(identity: Identity) -> Patterns:
    """Return the patterns of an identity, made once."""
    found: Patterns | None = identity.patterns
    if found is None:
        found = identity.patterns = Patterns(identity)
    return found


# --------------------------------------------------------------------------------------------------------- spellings
def _spellings(term: Term) -> Iterator[str]:
    spell = {"name": _names, "birth date": _dates, "phone": _numbers, "identifier": _identifiers}.get(term.kind, _texts)
    for text in spell(term.text):
        if _says_something(text, term.kind):
            yield text


def _says_something(text: str, kind: str) -> bool:
    """Tell whether a text can identify anybody: common words do not, however they came to stand in a header."""
    words = re.findall(r"\w+", fold(text).replace("_", " "))
    known = default_vocabulary()
    words = [word for word in words if word not in PLACEHOLDERS and (kind != "name" or word not in TITLES)]
    if not words:
        return False
    if kind == "name":
        if len(words) > 1:
            return True
    else:
        words = [word for word in words if word not in MAKERS]
    return not all(word in known or len(word) == 1 for word in words)


def _names(text: str) -> Iterator[str]:
    """Yield a name whole, its components, and the ways in which people write the first two, in several alphabets.

    Where a component is long enough to be found in any bytes by itself, it is found in all those ways, too.
    """
    for written in (text, *in_other_letters(text)):
        for group in written.split("="):
            parts = [part.strip() for part in group.split("^") if part.strip()]
            yield group.strip("^ ")
            yield from parts
            if len(parts) == 1:  # written as people write it, without the signs between components
                words = [word for word in re.split(r"[\s,;]+", parts[0]) if fold(word).rstrip(".") not in TITLES]
                parts = [words[0], words[-1]] if len(words) > 1 else words
            for part in parts:
                words = [word for word in re.split(r"[\s,;'’-]+", part) if fold(word) not in TITLES]
                yield from words
                if len(words) > 1:
                    yield "".join(words)
            if len(parts) > 1 and not any(len(word) >= MIN_RAW and _says_something(word, "name") for word in parts[:2]):
                yield from (form.format(parts[0], parts[1]) for form in _SPELLINGS_OF_NAMES)


# What parts the lines of an address, or several values in one.
_BETWEEN = re.compile(r"[\r\n\t\f,;|]+|\s{2,}|\s+[-–/]\s+")
# What stands before a name in an address.
_TITLE = re.compile(
    r"\b(?:c/o|attn|attention|z\.?\s?hd|dr|prof|professor|doctor|mr|mrs|ms|miss|sir|frau|herrn?|mme|mlle|dott|dra?|sra?)\b"
    r"[.:\s]+(\S.*)",
    re.IGNORECASE,
)
_DAY = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])")


def _parts(text: str) -> list[str]:
    """Return the lines of an address, and the values that were written into one."""
    return [part for each in _BETWEEN.split(text) if len(part := each.strip()) >= MIN_RAW]


def _texts(text: str) -> Iterator[str]:
    yield text
    for part in (parts := _parts(text)):
        yield part
        if title := _TITLE.search(part):
            yield from (word for word in re.split(r"[\s.,;:-]+", title[1]) if len(word) >= MIN_RAW)
    yield from _pieces(parts or [text])


def _pieces(parts: list[str]) -> Iterator[str]:
    """Yield pieces of texts of which more is written than is searched: from the beginning, and the last one."""
    found = [piece for part in parts if len(part.encode()) > _SEARCHED for piece in _cut(part)]
    yield from [*found[: _PIECES - 1], *found[_PIECES - 1 :][-1:]]


def _cut(text: str) -> Iterator[str]:
    """Cut a text between words; the last piece may reach back into the one before."""
    piece = ""
    for word in text.split():
        piece = f"{piece} {word}".strip()
        if len(piece) >= _PIECE:
            yield piece
            piece = ""
    if piece:
        yield text[-_PIECE:].strip()


def _identifiers(text: str) -> Iterator[str]:
    yield text
    squeezed = re.sub(r"[\s./_-]+", "", text)
    yield squeezed
    if squeezed.isdigit():
        yield squeezed.lstrip("0")
    # Several identifiers in one; a date among them stands elsewhere rightly.
    for part in re.split(r"[\s,;:|/^#]+", text):
        if sum(map(str.isdigit, part)) >= MIN_RAW and part != text and not _DAY.fullmatch(part):
            yield part
    yield from _pieces([text])


def _numbers(text: str) -> Iterator[str]:
    yield text
    for part in (text, *re.split(r"[\r\n,;|/]+|[^\W\d_]{2,}|\s{2,}", text)):
        digits = re.sub(r"\D+", "", part)
        if len(digits) >= MIN_RAW:
            yield digits


def _dates(text: str) -> Iterator[str]:
    """Yield a date of birth in the ways in which people write it."""
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return
    year, month, number = f"{day.year:04}", f"{day.month:02}", f"{day.day:02}"
    for sign in ("", "-", ".", "/", " "):
        for parts in ((year, month, number), (number, month, year), (month, number, year)):
            yield sign.join(parts)
    for sign in ("-", ".", "/"):
        for first, second in ((day.day, day.month), (day.month, day.day)):
            yield f"{first}{sign}{second}{sign}{year}"
        yield from (f"{number}{sign}{month}{sign}{year[2:]}", f"{month}{sign}{number}{sign}{year[2:]}")
    name = _MONTHS[day.month - 1]
    for called in (name, name[:3]):
        for figure in (str(day.day), number):
            yield from (f"{figure} {called} {year}", f"{figure}. {called} {year}", f"{called} {figure}, {year}")
            yield from (f"{called} {figure} {year}", f"{figure}-{called}-{year}", f"{figure}{called}{year}")
    for form, names in _MONTHS_ELSEWHERE:
        yield form.format(day=day.day, month=names.split()[day.month - 1], year=year)
