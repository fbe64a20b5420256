"""Taking over the mappings of *Research PACS on AWS* 1.0, so that known patients keep their pseudonyms.

Its table ``rpacs_dicom_mapping(value_type, old_value, scope_type, scope_value, new_value)`` had two faults: text was
stored under the type ``DATETIME``, and what was the same within an instance under the scope ``study``. So the kind is
told by the values, and rows of a study are taken over for both scopes: their scope value is a UID, which names either
a study or an instance.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extras import execute_values

from common.database import Cursor, Database

TABLE = "rpacs_dicom_mapping"
_BATCH = 1000
_PADDING = " \0"

_SCOPES = {
    "always": ("Always",),
    "patient": ("SamePatient",),
    "study": ("SameStudy", "SameInstance"),
    "series": ("SameSeries",),
    "instance": ("SameInstance",),
}

# PS3.5 6.2: DA, TM and DT, with the old forms yyyy.mm.dd and hh:mm:ss.
_DAY = r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
_TIME = r"([01]\d|2[0-3])([0-5]\d([0-5]\d|60)?(\.\d{1,6})?)?"
_SHAPES = {
    "DA": re.compile(rf"{_DAY}|\d{{4}}\.\d\d\.\d\d"),
    "TM": re.compile(rf"{_TIME}|\d\d:\d\d(:\d\d(\.\d{{1,6}})?)?"),
    "DT": re.compile(rf"\d{{4}}((0[1-9]|1[0-2])((0[1-9]|[12]\d|3[01])({_TIME})?)?)?([+-]\d{{4}})?"),
}

Row = tuple[str, str, str, str, str]
"""Of 1.0: value type, old value, scope type, scope value, new value."""

Mapping = tuple[str, str, str, str, str]
"""Of ours: kind, scope type, scope value, original, replacement."""


@dataclass(frozen=True)
class Imported:
    """What was taken over: rows read, mappings added, new values that stand for several originals, rows not known."""

    rows: int
    added: int
    collisions: int
    unknown: int


def convert(row: Row) -> Iterator[Mapping]:
    """Yield the mappings that a row stands for; none where its scope or type is not known."""
    value_type, old, scope_type, scope_value, new = row
    original = _clean(old)
    for scope in _SCOPES.get(scope_type, ()):
        value = "" if scope == "Always" else _clean(scope_value)
        for kind in _kinds(value_type, original, new):
            yield kind, scope, value, original, new


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip(_PADDING))


def _kinds(value_type: str, old: str, new: str) -> tuple[str, ...]:
    """Tell what kind of value a row maps: under ``DATETIME``, whatever both values can be, else text."""
    if value_type in ("UID", "TEXT"):
        return (value_type,)
    if value_type != "DATETIME":
        return ()
    return tuple(kind for kind, shape in _SHAPES.items() if shape.fullmatch(old) and shape.fullmatch(new)) or ("TEXT",)


def import_mappings(database: Database, table: str = TABLE, schema: str = "ingest") -> Imported:
    """Copy all rows of 1.0's table in one transaction; mappings that exist stay as they are.

    Parameters
    ----------
    database
        Logged in as the role that owns the schema: services may not read 1.0's table.
    table
        Its name, ``table`` or ``schema.table``.

    Raises
    ------
    StatementError
        There is no such table, or the role may not read it.
    """
    names = {"mappings": sql.Identifier(schema, "mappings")}
    rows = added = unknown = 0
    with database.transaction() as cursor:
        cursor.execute(sql.SQL(_SELECT).format(table=sql.Identifier(*table.split("."))))
        for batch in _batches(cursor.fetchall()):
            mappings = [mapping for row in batch for mapping in convert(row)]
            rows += len(batch)
            unknown += sum(1 for row in batch if not list(convert(row)))
            added += _insert(cursor, mappings, names)
        cursor.execute(sql.SQL(_COLLISIONS).format(**names))
        ((collisions,),) = cursor.fetchall()
    return Imported(rows, added, collisions, unknown)


def _batches(rows: list[Row]) -> Iterable[list[Row]]:
    return (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))


def _insert(cursor: Cursor, mappings: list[Mapping], names: dict[str, sql.Identifier]) -> int:
    if not mappings:
        return 0
    statement = sql.SQL(_INSERT).format(**names)
    return len(execute_values(cursor, statement, mappings, fetch=True, page_size=len(mappings)))


_SELECT = "SELECT value_type, old_value, scope_type, scope_value, new_value FROM {table}"

_INSERT = """
INSERT INTO {mappings} (kind, scope_type, scope_value, original, replacement, imported)
SELECT kind, scope_type, scope_value, original, replacement, true
FROM (VALUES %s) AS given (kind, scope_type, scope_value, original, replacement)
ON CONFLICT DO NOTHING
RETURNING 1
"""

_COLLISIONS = """
SELECT count(*) FROM (
  SELECT FROM {mappings}
  WHERE kind = 'UID' OR (kind = 'TEXT' AND scope_type IN ('Always', 'SamePatient'))
  GROUP BY kind, lower(replacement)
  HAVING count(DISTINCT (CASE WHEN kind = 'UID' THEN '' ELSE scope_value END, original)) > 1 AND bool_or(imported)
) AS shared
"""
