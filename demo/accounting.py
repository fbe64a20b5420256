"""How many of the instances that were sent have come where."""

from __future__ import annotations

from dataclasses import dataclass

from common.database import Database

_STATES = "SELECT state, count(*) FROM ingest.tasks WHERE kind = 'deidentify' AND asked_at >= %s GROUP BY state"
# The index keeps Orthanc's identifiers (SHA-1 in hexadecimal, hyphens between) as bytes.
_SEARCHABLE = """
SELECT count(*) FROM research.instance WHERE orthanc IN (
  SELECT decode(replace(result, '-', ''), 'hex') FROM ingest.tasks
  WHERE kind = 'deidentify' AND state = 'done' AND asked_at >= %s)
"""


@dataclass(frozen=True)
class Counts:
    """Instances by where they are; ``searchable`` counts those that the index of the portal holds."""

    received: int = 0
    deidentified: int = 0
    discarded: int = 0
    quarantined: int = 0
    failed: int = 0
    searchable: int = 0

    def complete(self, sent: int) -> bool:
        """Tell whether everything that was sent has come to its end."""
        ended = self.deidentified + self.discarded + self.quarantined + self.failed
        return ended >= sent and self.searchable >= self.deidentified


class Accounting:
    """Counts what became of the instances that this demo sent, since a moment of the database's clock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.transaction() as cursor:
            cursor.execute("SELECT now()")
            (self._since,) = cursor.fetchone() or (None,)

    def count(self) -> Counts:
        """Count now."""
        with self._database.transaction() as cursor:
            cursor.execute(_STATES, (self._since,))
            states = dict(cursor.fetchall())
            cursor.execute(_SEARCHABLE, (self._since,))
            (searchable,) = cursor.fetchone() or (0,)
        return Counts(
            received=sum(states.values()),
            deidentified=states.get("done", 0),
            discarded=states.get("discarded", 0),
            quarantined=states.get("quarantined", 0),
            failed=states.get("failed", 0),
            searchable=searchable,
        )
