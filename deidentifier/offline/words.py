"""Which words of a file's text stay, and why the others go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from common.dicom_text import SINGLE, decode_text
from deidentifier.element import ElementInWork
from deidentifier.profiles.identity import Word
from deidentifier.profiles.treatments import LEFT, Act, Applied, Otherwise, Then, clean_words, strip_identifiers
from deidentifier.work import Work


@dataclass(frozen=True)
class CleanedText:
    """The text of one element: why it was cleaned, and what became of its words."""

    reason: str
    words: tuple[Word, ...] = field(repr=False)


def cleaned_texts(work: Work) -> Iterator[tuple[str, CleanedText]]:
    """Yield the texts that were cleaned, with the paths of their elements."""
    for path, reason, element in work.worked_on():
        act = _act(element)
        if act in (clean_words, strip_identifiers):
            identity = element.identity
            explain = identity.explain if act is clean_words else identity.explain_technical
            words = tuple(word for value in _values(element) for word in explain(value))
            yield path, CleanedText(reason, words)


def summary(words: Sequence[Word]) -> str:
    """Say how many words stay, and why how many go, without any of them."""
    kept = sum(word.kept for word in words)
    gone = Counter(word.reason for word in words if not word.kept)
    noun = "word stays" if len(words) == 1 else "words stay"
    because = ", ".join(f"{number} {reason}" for reason, number in sorted(gone.items(), key=lambda each: -each[1]))
    return f"{kept} of {len(words)} {noun}" + (f"; gone: {because}" if because else "")


def _act(element: ElementInWork) -> Act | None:
    """Return what the profile did to the value; None where rules decided."""
    act: Act | None = None
    for step in element.actions:
        if isinstance(step, Applied):
            act = step.act
        elif isinstance(step, Otherwise) and any(note.startswith(LEFT) for note in element.notes):
            act = step.treatment.act
    return act.act if isinstance(act, Then) else act


def _values(element: ElementInWork) -> list[str]:
    text = decode_text(element.original, element.encodings)
    return [value.strip(" \0") for value in ([text] if element.vr in SINGLE else text.split("\\"))]
