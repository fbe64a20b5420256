"""What belongs to the instance in work: the scopes of its mappings, from the original's values, and its randomness."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from common.dicom_scan import Scan
from common.dicom_text import decode_text, strip_padding
from common.errors import QuarantineError
from deidentifier.mappings import MappingCache, MappingKey, needs_predefined
from deidentifier.profiles.identifying import Collected, Identities
from deidentifier.profiles.identity import Identity

if TYPE_CHECKING:
    from deidentifier.memory import Memory
    from deidentifier.plan import Plan

PATIENT_ID, STUDY, SERIES, SOP_INSTANCE = 0x00100020, 0x0020000D, 0x0020000E, 0x00080018
# From the widest to the narrowest: a scope without a value stands back for the next.
_SCOPES = (("SamePatient", PATIENT_ID), ("SameStudy", STUDY), ("SameSeries", SERIES), ("SameInstance", SOP_INSTANCE))
_TAGS = dict(_SCOPES)
_MAX_DRAWS = 100


class Instance:
    """The mappings of one instance.

    Parameters
    ----------
    scan
        The original.
    mappings
        Those of the process.

    Attributes
    ----------
    missing
        Keys that were asked for and are not known yet, with what makes a value for them.
    pixels_examined
        Whether the pixels were read or masked.
    scope_notes
        Scopes that had no value, with the narrower ones that were taken.
    unlisted
        Keys that only a predefined value will do for, with the element's path.
    """

    def __init__(self, scan: Scan, mappings: MappingCache, identities: Identities | None = None) -> None:
        self._scan = scan
        self._identities = identities or Identities()
        self._collected: Collected | None = None
        self.pixels_examined = False
        self._mappings = mappings
        self._known: dict[MappingKey, str] = {}
        self._scopes: dict[str, tuple[str, str]] = {"Always": ("Always", "")}
        self._identity = b""
        self.missing: dict[MappingKey, Callable[[bytes], str]] = {}
        self.scope_notes: dict[str, str] = {}
        self.unlisted: dict[MappingKey, str] = {}

    @property
    def collected(self) -> Collected:
        """What identifies the original, collected when somebody asks."""
        if self._collected is None:
            self._collected = self._identities.collect(self._scan)
        return self._collected

    @property
    def identity(self) -> Identity:
        """What follows from the identifying values of the original."""
        return self.collected.identity

    @property
    def recogniser(self) -> str:
        """What finds named entities in the text of the instance: model and version; empty where nothing does."""
        found = self._identities.recogniser
        return found.name if found is not None else ""

    def mapped(
        self,
        kind: str,
        reuse_mapping: str | None,
        original: str,
        make: Callable[[bytes], str],
        path: str,
        project: tuple[str, ...] = (),
    ) -> str | None:
        """Return what stands for an original value, None while it has to be fetched.

        ``project`` is what follows in the key: see :data:`~deidentifier.mappings.MappingKey`.
        """
        if not original.isascii():
            original = unicodedata.normalize("NFC", original)
        if reuse_mapping is None:
            return make(self.derive(kind, path, original))
        scope = self._scopes.get(reuse_mapping) or self._find_scope(reuse_mapping)
        key: MappingKey = (kind, scope[0], scope[1], original)
        if project:
            key = self._in_project(key, project, path)
        found = self._mappings.get(key)
        if found is None:
            # The cache is bounded: what this instance has fetched is kept until it is done.
            found = self._known.get(key)
            if found is None:
                self.missing[key] = make
        return found

    def _in_project(self, key: MappingKey, project: tuple[str, ...], path: str) -> MappingKey:
        """Return a key as it is in a project: a Patient ID has one code there, whichever scope the rule names."""
        kind, scope, value, original = key
        key = (kind, "Always", "", original, *project) if (scope, value) == ("SamePatient", original) else key + project
        if needs_predefined(key):
            self.unlisted.setdefault(key, path)
        return key

    def memory(self, plan: Plan) -> Memory:
        """Return what a plan made of values before, in the mapping scopes of this instance."""
        scopes = tuple(self._scopes.get(name) or self._find_scope(name) for name in plan.scopes)
        return self._mappings.memories.of(plan, scopes)

    def fetch(self) -> None:
        """Fetch or create all that is missing, in one round trip (but for values that were already taken).

        Raises
        ------
        QuarantineError
            No free value was found, which does not happen by chance; or a project has no predefined code.
        """
        for attempt in range(_MAX_DRAWS):
            random = self._mappings.draw([*self.missing], attempt)
            proposals = {key: make(each) for (key, make), each in zip(self.missing.items(), random, strict=True)}
            found = self._mappings.fetch_or_create(proposals)
            self._known.update(found)
            self.missing = {key: make for key, make in self.missing.items() if key not in found}
            if not self.missing:
                return
            for key in filter(needs_predefined, self.missing):
                raise QuarantineError(
                    f"{self.unlisted[key]}: the project {key[4]} has no predefined code for this value, and its rule "
                    "says OnlyPredefined: add a code with import-pseudonyms, then retry"
                )
        raise QuarantineError("no free value was found for a mapping")

    def notes(self) -> list[str]:
        """Say which scopes had no value, and what narrower ones were taken."""
        return [f"{wanted} has no value here, {taken} was taken" for wanted, taken in self.scope_notes.items()]

    def derive(self, kind: str, path: str, original: str) -> bytes:
        """Return 32 bytes that are random to everyone else, and the same whenever this instance comes again."""
        if not self._identity:
            self._identity = self._identify()
        message = f"{kind}/{path}/{original}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._mappings.secret(), self._identity + message, "sha256")

    def _identify(self) -> bytes:
        """Return what makes the instance the same: its SOP Instance UID; without one, its bytes."""
        uid = self._scan.value(SOP_INSTANCE)
        return hashlib.sha256(uid or self._scan.data).digest()

    def _find_scope(self, wanted: str) -> tuple[str, str]:
        """Return the scope's type and value; where it has no value, the next narrower one's that has."""
        text = self._text(_TAGS[wanted])
        found = (wanted, text) if text else self._find_narrower(wanted)
        self._scopes[wanted] = found
        return found

    def _find_narrower(self, wanted: str) -> tuple[str, str]:
        candidates = [(name, self._text(tag)) for name, tag in _SCOPES[list(_TAGS).index(wanted) + 1 :]]
        found = next((scope for scope in candidates if scope[1]), None) or ("SameInstance", self._identify().hex())
        self.scope_notes[wanted] = found[0]
        return found

    def _text(self, tag: int) -> str:
        raw = self._scan.value(tag)
        if not raw:
            return ""
        text = decode_text(strip_padding(raw), self._scan.dataset.encodings)
        text = text.strip(" \0")
        return text if text.isascii() else unicodedata.normalize("NFC", text)
