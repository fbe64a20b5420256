"""Reading mappings backwards: each look-up leaves an audit row before anything is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken

from common.audit import AuditTrail
from common.database import Database
from common.errors import RefusedError

_FIND = """
SELECT kind, scope_type, coalesce(long_original, original), replacement, project FROM ingest.mappings
WHERE replacement = ANY (%s) OR lower(replacement) = ANY (%s) ORDER BY kind, replacement, project
"""
_ALL = """
SELECT kind, scope_type, scope_value, coalesce(long_original, original), replacement, key_id, project
FROM ingest.mappings ORDER BY kind, scope_type, scope_value, original, project
"""
_LINES = 1000


@dataclass(frozen=True)
class Found:
    """An original value and what stands for it, in which project; "" outside all projects."""

    kind: str
    scope: str
    original: str
    replacement: str
    project: str


class Reidentification:
    """Looks originals up.

    Parameters
    ----------
    database
        Logged in as a role with the rights of ``rpacs_reidentify``.
    audit
        The ingest side's trail.
    who, why
        Stand in the trail with each look-up.
    """

    def __init__(self, database: Database, audit: AuditTrail, who: str, why: str) -> None:
        self._database, self._audit, self._who, self._why = database, audit, who, why

    def find(self, replacements: Sequence[str]) -> list[Found]:
        """Return the originals of pseudonyms, UIDs and the like.

        Raises
        ------
        DatabaseUnavailableError, StatementError
            The look-up cannot be recorded, or the role may not read.
        """
        self._record("reidentify", {"replacements": list(replacements)})
        rows = self._database.call(_FIND, ([*replacements], [text.lower() for text in replacements]))
        return [Found(*row) for row in rows]

    def export(self, key: str) -> Iterator[bytes]:
        """Yield all mappings, encrypted, in lines of a thousand mappings each.

        Raises
        ------
        RefusedError
            The key is none.
        """
        cipher = cipher_of(key)
        self._record("export mappings", {})
        rows = self._database.call(_ALL, ())
        for first in range(0, len(rows), _LINES):
            yield cipher.encrypt(json.dumps(rows[first : first + _LINES], ensure_ascii=False).encode()) + b"\n"

    def _record(self, action: str, details: dict[str, object]) -> None:
        self._audit.append({"user": self._who, "action": action, "reason": self._why, **details})


def read_export(lines: Iterator[bytes], key: str) -> Iterator[list[str]]:
    """Yield the mappings of an export: kind, scope type and value, original, replacement, key's identifier, project.

    Raises
    ------
    RefusedError
        It was encrypted with another key, or changed.
    """
    cipher = cipher_of(key)
    for line in lines:
        try:
            yield from json.loads(cipher.decrypt(line.strip()))
        except InvalidToken as exc:
            raise RefusedError("the export was made with another key, or has been changed") from exc


def cipher_of(key: str) -> Fernet:
    """Return the cipher of an export key (``Fernet.generate_key()``: 32 random bytes in URL-safe base64)."""
    try:
        return Fernet(key)
    except ValueError as exc:
        raise RefusedError("RPACS_MAPPINGS_EXPORT_KEY: expected 32 random bytes in URL-safe base64") from exc
