"""What stands for an original value: kept in PostgreSQL, or in memory.

The key of a mapping is (kind, scope type, scope value, original). Kinds are ``UID``, ``TEXT``, ``DA``, ``TM``, ``DT``
and ``OFFSET``. A new UID is unique; a new text that is the same for a patient or everywhere is unique among those,
ignoring case. A stored value always wins over a proposed one.

In a project (``Project`` of RandomizeText) the project's name is a fifth part of the key, so that one patient has a
pseudonym of its own in each; all of them are unique together.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from deidentifier.memory import Memories
from deidentifier.pseudonym_key import PseudonymKey

if TYPE_CHECKING:
    from common.database import Database

MappingKey = tuple[str, ...]
"""Kind, scope type, scope value, original; the latter two without padding, in Unicode NFC. In a project its name
follows, and then :data:`PREDEFINED` where only a predefined value will do."""

PREDEFINED = "predefined"

Row = tuple[str | bool | None, ...]

_SHARED = ("Always", "SamePatient")
_IN_PROJECT = 5  # parts of a key in a project
_CACHED = 200_000
_encode = json.JSONEncoder(ensure_ascii=False).encode
_INDEXED = 400  # characters; an index of PostgreSQL takes 2,700 bytes


class MappingStore(Protocol):
    """Where mappings are kept."""

    def fetch_or_create(self, wanted: Mapping[MappingKey, str]) -> dict[MappingKey, str]:
        """Return the stored values, storing the proposed ones where there are none.

        A key is missing from the answer where its proposed value is taken: propose another. One that only a predefined
        value will do for is never stored, and missing where none is.
        """

    def secret(self) -> bytes:
        """Return the 32 bytes that values are derived with which no mapping keeps."""


class MemoryMappings:
    """Mappings that live as long as the process; safe to share between threads."""

    def __init__(self) -> None:
        self._values: dict[MappingKey, str] = {}  # nothing in memory is predefined
        self._taken: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(32)

    def fetch_or_create(self, wanted: Mapping[MappingKey, str]) -> dict[MappingKey, str]:
        """Return the stored values, storing the proposed ones where there are none."""
        with self._lock:
            for key, proposal in wanted.items():
                if key not in self._values and self._take(key, proposal):
                    self._values[key] = proposal
            return {key: self._values[key] for key in wanted if key in self._values}

    def _take(self, key: MappingKey, proposal: str) -> bool:
        if needs_predefined(key):
            return False
        kind, scope_type = key[:2]
        if kind != "UID" and not (kind == "TEXT" and scope_type in _SHARED):
            return True
        value = (kind, proposal.lower())
        if value in self._taken:
            return False
        self._taken.add(value)
        return True

    def secret(self) -> bytes:
        """Return the secret of this process."""
        return self._secret


class PostgresMappings:
    """Mappings in the schema ``ingest``, shared by all workers; one round trip for all that an instance needs.

    Parameters
    ----------
    database
        Logged in as a role that may use the schema.
    schema
        Name of the schema.
    key
        The key that proposed values are derived from; its identifier is kept with what is stored.
    """

    def __init__(self, database: Database, schema: str = "ingest", key: PseudonymKey | None = None) -> None:
        self._database = database
        self._key_id = key.identifier if key is not None else None
        self._statement = f"SELECT {schema}.map_values(%s, %s)"
        self._schema = schema
        self._secret = b""

    def fetch_or_create(self, wanted: Mapping[MappingKey, str]) -> dict[MappingKey, str]:
        """Return the stored values, storing the proposed ones where there are none."""
        return self._call(wanted, [_row(key, proposal) for key, proposal in wanted.items()])

    def predefine(self, wanted: Mapping[MappingKey, str]) -> dict[MappingKey, str]:
        """Store values that a person chose where there are none, and return what is stored then."""
        return self._call(wanted, [_full_row(key, value, predefined=True) for key, value in wanted.items()])

    def _call(self, wanted: Mapping[MappingKey, str], rows: list[Row]) -> dict[MappingKey, str]:
        # PostgreSQL's text cannot hold NUL; a character for private use stands for it.
        document = _encode(rows).replace("\\u0000", "\\ue000")
        ((answer,),) = self._database.call(self._statement, (document, self._key_id))
        values = json.loads(answer)
        return {key: value for key, value in zip(wanted, values, strict=True) if value is not None}

    def secret(self) -> bytes:
        """Return the secret of this deployment, made by whoever asks first."""
        if not self._secret:
            with self._database.transaction() as cursor:
                cursor.execute(
                    f"INSERT INTO {self._schema}.mapping_secret (secret) VALUES (%s) ON CONFLICT DO NOTHING",  # noqa: S608  # a schema's name of our own
                    (secrets.token_bytes(32),),
                )
                cursor.execute(f"SELECT secret FROM {self._schema}.mapping_secret")  # noqa: S608
                ((value,),) = cursor.fetchall()
                self._secret = bytes(value)
        return self._secret


def needs_predefined(key: MappingKey) -> bool:
    """Tell whether only a predefined value will do for a key."""
    return len(key) > _IN_PROJECT


def _row(key: MappingKey, proposal: str) -> Row:
    if len(key) >= _IN_PROJECT:
        return _full_row(key, None if needs_predefined(key) else proposal)
    kind, scope_type, scope_value, original = key
    if len(scope_value) + len(original) <= _INDEXED:
        return (*key, proposal)
    return (kind, scope_type, indexed(scope_value), indexed(original), proposal, original)


def _full_row(key: MappingKey, proposal: str | None, *, predefined: bool = False) -> Row:
    """Return a row with the text of a long original, the project, and whether a person chose the value."""
    kind, scope_type, scope_value, original, project, *_ = (*key, "")
    long = None
    if len(scope_value) + len(original) > _INDEXED:
        scope_value, original, long = indexed(scope_value), indexed(original), original
    return (kind, scope_type, scope_value, original, proposal, long, project, predefined)


def indexed(text: str) -> str:
    """Return a text as it stands in the key of the table: a long one as its hash."""
    if len(text) <= _INDEXED // 2:
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class MappingCache:
    """The mappings that a process has seen, in front of a store; bounded, the oldest go first.

    Parameters
    ----------
    store
        Where they are kept.
    limit
        How many are remembered.
    key
        What new values are derived from; None: they are random.
    """

    def __init__(self, store: MappingStore, limit: int = _CACHED, key: PseudonymKey | None = None) -> None:
        self._store = store
        self._key = key
        self._limit = limit
        self._known: dict[MappingKey, str] = {}
        self.get = self._known.get
        self._secret: bytes = b""
        self.memories = Memories()

    def fetch_or_create(self, wanted: Mapping[MappingKey, str]) -> dict[MappingKey, str]:
        """Ask the store, and remember its answer."""
        found = self._store.fetch_or_create(wanted)
        self._known.update(found)
        if len(self._known) > self._limit:
            for key in list(self._known)[: self._limit // 4]:
                self._known.pop(key, None)
        return found

    def draw(self, keys: Sequence[MappingKey], attempt: int) -> list[bytes]:
        """Return 32 bytes for each of some keys: random, or derived where there is a key to derive them from."""
        if self._key is None:
            random = secrets.token_bytes(32 * len(keys))
            return [random[at : at + 32] for at in range(0, len(random), 32)]
        return [self._key.derive(key[0], *key[1:], str(attempt)) for key in keys]

    def __len__(self) -> int:
        return len(self._known)

    def secret(self) -> bytes:
        """Return what values are derived with that no mapping keeps: of the key, or the store's secret."""
        if not self._secret:
            self._secret = self._key.derive("instance") if self._key is not None else self._store.secret()
        return self._secret
