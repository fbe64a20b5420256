"""Named entities in text: the words of people, places and dates, found by a spaCy pipeline of the site.

It is asked after the rules of :mod:`deidentifier.profiles.clean_text` and may only take away more; see
``doc/decisions/0112-named-entities.md``. spaCy is imported here alone, and only where a model is set.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Collection, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common.errors import ConfigurationError

if TYPE_CHECKING:
    from spacy.language import Language

LABELS = ("PERSON", "PER", "NORP", "FAC", "GPE", "LOC", "DATE")
"""People, groups of people, buildings, places and dates, as models of spaCy name them (OntoNotes 5; WikiNER)."""

# None of them says anything about entities; without them a text takes half the time.
_NOT_NEEDED = ("tagger", "morphologizer", "parser", "senter", "attribute_ruler", "lemmatizer", "trainable_lemmatizer")
# Components that go by patterns, which may ask for what the others say.
_BY_PATTERNS = ("entity_ruler", "span_ruler")
_LONGEST = 5_000  # characters; memory grows with the length, and a model sees no further than a few words
_REMEMBERED = 20_000
_LONGEST_REMEMBERED = 256  # descriptions come again, reports do not
# Shorter ones in capitals are mostly abbreviations.
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
# Everything that reading a damaged folder was seen to raise; a model is a program, and may raise anything.
_LOAD_ERRORS = (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError, RuntimeError)


class Entity(NamedTuple):
    """Where an entity stands in a text, and what it is."""

    start: int
    end: int
    label: str


class Recogniser:
    """Finds named entities with a pipeline of spaCy; safe to share between threads.

    Parameters
    ----------
    model
        RPACS_NER_MODEL: a folder, or the name of an installed package.
    labels
        RPACS_NER_LABELS: labels of the entities that count.

    Attributes
    ----------
    name
        Model, version and the beginning of the SHA-256 of its files; ASCII, at most 60 characters.
    library
        spaCy's version.
    labels
        Of the entities that count, those that the model knows.

    Raises
    ------
    ConfigurationError
        spaCy is not installed, the model cannot be loaded, or a label is none of the model's.
    """

    def __init__(self, model: str, labels: Collection[str] = LABELS) -> None:
        self.labels = tuple(labels)
        self._pipeline = _load(model)
        self._check_labels(model)
        self.name = _name(self._pipeline)
        self.library = f"spaCy {version('spacy')}"
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Entity, ...]] = {}

    def find(self, text: str) -> tuple[Entity, ...]:
        """Return the entities of a text whose words must not stay.

        A text in capitals is read a second time with Words Like These: models are trained on mixed case.
        """
        found = self._known.get(text)
        if found is None:
            found = tuple(dict.fromkeys(entity for form in _forms(text) for entity in self._find(form)))
            if len(text) <= _LONGEST_REMEMBERED:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[text] = found
        return found

    def _find(self, text: str) -> Iterator[Entity]:
        for start, piece in _pieces(text):
            # spaCy makes no promise about threads; and in its memory zone it forgets the words that it met.
            with self._lock, self._pipeline.memory_zone():
                spans = [(span.start_char, span.end_char, span.label_) for span in self._pipeline(piece).ents]
            for first, last, label in spans:
                if label in self.labels:
                    yield Entity(start + first, start + last, label)

    def _check_labels(self, model: str) -> None:
        known = {label for labels in self._pipeline.pipe_labels.values() for label in labels}
        # Of the labels that are the default no model has all; a label that somebody asks for has to be one.
        missing = [label for label in self.labels if label not in known]
        if not self.labels:
            raise ConfigurationError("RPACS_NER_LABELS: names no label; unset RPACS_NER_MODEL to go without entities")
        if missing and (self.labels != LABELS or len(missing) == len(LABELS)):
            raise ConfigurationError(
                f"RPACS_NER_LABELS: the model {model} (RPACS_NER_MODEL) does not know {', '.join(missing)}: "
                f"its labels are {', '.join(sorted(known)[:30]) or 'none'}"
            )
        # What no entity of this model can be is nothing to name in a statement.
        self.labels = tuple(label for label in self.labels if label in known)


def recogniser(model: str, labels: Collection[str]) -> Recogniser | None:
    """Return the recogniser that the settings ask for, None where they ask for none.

    Raises
    ------
    ConfigurationError
        It cannot be had.
    """
    return Recogniser(model, labels) if model else None


def _load(model: str) -> Language:
    """Load a pipeline without the components that have no say in entities."""
    try:
        import spacy
    except ImportError as exc:
        raise ConfigurationError(
            "RPACS_NER_MODEL is set, but spaCy is not installed: install research-pacs[ner], or unset it"
        ) from exc
    try:
        pipeline = spacy.load(model)
    except _LOAD_ERRORS as exc:
        raise ConfigurationError(
            f"RPACS_NER_MODEL: {model} cannot be loaded ({type(exc).__name__}): it has to be the folder of a spaCy "
            "pipeline, or the name of an installed package, made for the installed version of spaCy"
        ) from exc
    factories = {name: pipeline.get_pipe_meta(name).factory for name in pipeline.pipe_names}
    if set(factories.values()).isdisjoint(_BY_PATTERNS):
        for name in [name for name, factory in factories.items() if factory in _NOT_NEEDED]:
            pipeline.remove_pipe(name)
        for name in [name for name, pipe in pipeline.pipeline if getattr(pipe, "listening_components", None) == []]:
            pipeline.remove_pipe(name)  # it worked for them alone
    return pipeline


def _name(pipeline: Any) -> str:
    meta = pipeline.meta
    name = re.sub(r"[^A-Za-z0-9_.-]", "", f"{meta.get('lang', '')}_{meta.get('name', '')}")[:28]
    of_model = re.sub(r"[^A-Za-z0-9_.-]", "", str(meta.get("version", "")))[:12]
    return f"{name} {of_model} {_digest(pipeline.path)[:12]}"


def _digest(folder: Path) -> str:
    """Return the SHA-256 of a model's files: two models that were trained at home often have the same version."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _forms(text: str) -> list[str]:
    """Return a text as the model is to read it: all forms have its length, so that places hold."""
    # As in the rules: what separates words in protocol names and in names of DICOM is space to a model.
    plain = re.sub(r"[_^=]", " ", text)
    words = _LONG_WORD.findall(plain)
    if not words or not all(word.isupper() for word in words):
        return [plain]
    titled = _LONG_WORD.sub(lambda match: match[0][0] + match[0][1:].lower(), plain)
    return [plain, titled] if len(titled) == len(plain) else [plain]


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Cut a long text at white space."""
    start = 0
    while len(text) - start > _LONGEST:
        end = text.rfind(" ", start + _LONGEST // 2, start + _LONGEST)
        end = end if end > 0 else start + _LONGEST
        yield start, text[start:end]
        start = end
    yield start, text[start:]
