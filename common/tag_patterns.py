"""Tag patterns: the sets of data elements that rules name, compiled once and matched by walking down the sequences.

A pattern is one or more *parts* joined by dots, outer to inner; the last names the element, those before it the
sequences that hold it. A prefix says where the path begins::

    PatientName, *Date            keyword, ``*`` for any run of characters
    00100010, 0023XXXX, XXX@XXXX  hexadecimal tag, ``X`` any digit, ``@`` any odd digit
    0029{SIEMENS CSA HEADER}XX    private elements of the block of that creator
    {PN}                          every element of that VR
    Seq.Tag                       at the top level only
    */…   +/…                     anywhere; anywhere below the top level

:class:`Selectors` holds the patterns of all rules and matches them together: a :class:`Level` is what is left of
them inside one kind of sequence item. Answers are kept, so matching an element costs one look-up in a dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from common.dicom_head import VALUE_REPRESENTATIONS
from common.tags import keywords, parse_tag

_CREATOR = re.compile(r"([0-9A-Fa-fXx@]{4})\{([^{}]+)\}([0-9A-Fa-fXx]{2})")
_MASK = re.compile(r"[0-9A-Fa-fXx@]{8}")
_VR = re.compile(r"\{([^{}]*)\}")
_KEYWORD = re.compile(r"[A-Za-z0-9*]+")
_DOT_OUTSIDE_BRACES = re.compile(r"\.(?![^{}]*\})")


class Described(Protocol):
    """What is known of an element when it is matched."""

    tag: int
    vr: str
    keyword: str
    creator: str


K = TypeVar("K")
V = TypeVar("V")
Part = Callable[[Described], bool]


@dataclass(frozen=True)
class TagPattern:
    """A compiled pattern: its text, its prefix (``""``, ``"*/"``, ``"+/"``), and a test for each part."""

    text: str
    prefix: str
    parts: tuple[Part, ...]

    @property
    def exact_tag(self) -> int | None:
        """The tag that the last part names outright (a keyword or eight digits), else None."""
        last = _DOT_OUTSIDE_BRACES.split(self.text.removeprefix(self.prefix))[-1]
        if re.fullmatch(r"[0-9A-Fa-f]{8}", last):
            return int(last, 16)
        return keywords().get(last)

    def __str__(self) -> str:
        return self.text


def parse_tag_pattern(text: str) -> TagPattern:
    """Compile a pattern.

    Raises
    ------
    ValueError
        Says what is wrong: a keyword in no dictionary, a VR that does not exist, a malformed tag.
    """
    prefix = text[:2] if text[:2] in ("*/", "+/") else ""
    parts = _DOT_OUTSIDE_BRACES.split(text[len(prefix) :])
    return TagPattern(text, prefix, tuple(_parse_part(part) for part in parts))


def _parse_part(text: str) -> Part:
    if found := _CREATOR.fullmatch(text):
        return _creator_part(*found.groups())
    if found := _VR.fullmatch(text):
        return _vr_part(found[1])
    if _MASK.fullmatch(text):
        return _mask_part(text)
    if not text or not _KEYWORD.fullmatch(text):
        raise ValueError(f"{text or 'empty part'}: expected a keyword, a tag of eight hexadecimal digits, or {{VR}}")
    if "*" not in text:
        parse_tag(text)
        return lambda head: head.keyword == text
    wanted = re.compile(".*".join(re.escape(piece) for piece in text.split("*")))
    if not any(wanted.fullmatch(keyword) for keyword in keywords()):
        raise ValueError(f"{text}: matches no keyword")
    return lambda head: bool(head.keyword) and wanted.fullmatch(head.keyword) is not None


def _vr_part(vr: str) -> Part:
    if vr not in VALUE_REPRESENTATIONS:
        raise ValueError(f"{{{vr}}}: no such VR")
    return lambda head: head.vr == vr


def _mask_part(text: str) -> Part:
    if re.fullmatch(r"[0-9A-Fa-f]{8}", text):
        tag = int(text, 16)
        return lambda head: head.tag == tag
    digits = _digits(text)
    return lambda head: digits.fullmatch(f"{head.tag:08X}") is not None


def _creator_part(group: str, creator: str, offset: str) -> Part:
    if group[3] in "02468ACEace":
        raise ValueError(f"{group}{{…}}: a private group is odd")
    digits, creator = _digits(group + "XX" + offset), creator.strip()
    return lambda head: head.creator == creator and digits.fullmatch(f"{head.tag:08X}") is not None


def _digits(mask: str) -> re.Pattern[str]:
    return re.compile(mask.upper().replace("X", ".").replace("@", "[13579BDF]"))


@dataclass(frozen=True)
class Selector:
    """What a rule selects: elements that one of ``patterns`` matches and none of ``exceptions``."""

    patterns: tuple[TagPattern, ...]
    exceptions: tuple[TagPattern, ...] = ()


class Level:
    """What is left of all patterns inside one kind of item (or at the top level).

    ``live`` tells whether anything can match here or deeper.
    """

    __slots__ = ("_entered", "_matching", "_positions", "_selectors", "live")

    def __init__(self, selectors: Selectors, positions: tuple[tuple[int, ...], ...]) -> None:
        self._selectors = selectors
        self._positions = positions
        self._matching: dict[tuple[int, str, str], tuple[int, ...]] = {}
        self._entered: dict[tuple[int, str, str], Level] = {}
        self.live = selectors.can_match(positions)

    def matching(self, head: Described) -> tuple[int, ...]:
        """Return the numbers of the selectors that select an element, in order."""
        key = (head.tag, head.vr, head.creator)
        found = self._matching.get(key)
        if found is None:
            found = _remember(self._matching, key, self._selectors.select(head, self._positions))
        return found

    def enter(self, head: Described) -> Level:
        """Return the level of the items of a sequence."""
        key = (head.tag, head.vr, head.creator)
        found = self._entered.get(key)
        if found is None:
            positions = self._selectors.advance(head, self._positions)
            found = _remember(self._entered, key, self._selectors.level(positions))
        return found


def _remember(memory: dict[K, V], key: K, value: V, limit: int = 100_000) -> V:
    """Keep an answer; bounded, as private tags and creators are without number."""
    if len(memory) >= limit:
        memory.clear()
    memory[key] = value
    return value


class Selectors:
    """The patterns of all rules, matched together."""

    def __init__(self, selectors: Sequence[Selector]) -> None:
        self._patterns: list[TagPattern] = []
        self._of_selector: list[tuple[list[int], list[int]]] = []
        for selector in selectors:
            self._of_selector.append((self._add(selector.patterns), self._add(selector.exceptions)))
        # A pattern that is an exception only cannot make anything match.
        self._wanted = {number for wanted, _ in self._of_selector for number in wanted}
        self._levels: dict[tuple[tuple[int, ...], ...], Level] = {}
        self.top = self.level(tuple(() if p.prefix == "+/" else (0,) for p in self._patterns))

    def _add(self, patterns: Iterable[TagPattern]) -> list[int]:
        first = len(self._patterns)
        self._patterns.extend(patterns)
        return list(range(first, len(self._patterns)))

    def level(self, positions: tuple[tuple[int, ...], ...]) -> Level:
        """Return the level for some positions: for each pattern, the parts that may come next."""
        found = self._levels.get(positions)
        return found or _remember(self._levels, positions, Level(self, positions))

    def can_match(self, positions: tuple[tuple[int, ...], ...]) -> bool:
        """Tell whether some pattern can match at these positions or deeper."""
        return any(
            self._patterns[number].prefix or here for number, here in enumerate(positions) if number in self._wanted
        )

    def select(self, head: Described, positions: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
        """Return the numbers of the selectors that select an element."""
        hits = {number for number, here in enumerate(positions) if here and self._ends(number, here, head)}
        return tuple(
            number
            for number, (wanted, excepted) in enumerate(self._of_selector)
            if not hits.isdisjoint(wanted) and hits.isdisjoint(excepted)
        )

    def _ends(self, number: int, here: tuple[int, ...], head: Described) -> bool:
        parts = self._patterns[number].parts
        return len(parts) - 1 in here and parts[-1](head)

    def advance(self, head: Described, positions: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        """Return the positions inside the items of a sequence."""
        return tuple(self._advance(number, here, head) for number, here in enumerate(positions))

    def _advance(self, number: int, here: tuple[int, ...], head: Described) -> tuple[int, ...]:
        pattern = self._patterns[number]
        begin = (0,) if pattern.prefix else ()
        last = len(pattern.parts) - 1
        return begin + tuple(part + 1 for part in here if part < last and pattern.parts[part](head))
