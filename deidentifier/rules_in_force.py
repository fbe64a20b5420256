"""The rules in force: read again when their file changes; a broken edit keeps the last good ones."""

from __future__ import annotations

import logging
from typing import Any

from common.database import Database
from common.errors import ResearchPacsError
from common.metrics import RULES_REFUSED, count_error
from common.storage import WatchedFile
from deidentifier.builder import DeidentifierBuilder
from deidentifier.deidentify import Deidentifier
from deidentifier.statement import as_text, make_statement
from deidentifier.worker import Deidentify, Made

logger = logging.getLogger(__name__)

_RECORD = """
INSERT INTO ingest.rules_in_force AS old (sha256, statement, problem) VALUES (%(sha256)s, %(statement)s, %(problem)s)
ON CONFLICT (only_row) DO UPDATE SET sha256 = excluded.sha256, statement = excluded.statement,
  problem = excluded.problem, loaded_at = CASE WHEN old.sha256 = excluded.sha256 THEN old.loaded_at ELSE now() END
"""


class RulesInForce:
    """Watches the rules file, and writes down what is in force for those who look at the status.

    Raises
    ------
    ResearchPacsError
        The rules cannot be read, or are wrong, at the start.
    """

    def __init__(self, location: str, builder: DeidentifierBuilder, database: Database) -> None:
        self._location, self._builder, self._database = location, builder, database
        self._file = WatchedFile(location, self._load, storage=builder.storage)
        self._told: tuple[str, str | None] | None = None

    def current(self) -> Deidentify:
        """Return what the latest good rules do."""
        deidentifier = self._file.value
        problem = self._file.error.code if self._file.error else None
        RULES_REFUSED.set(1 if problem else 0)
        if self._told != (deidentifier.rules.sha256, problem):
            self._tell(deidentifier, problem)
        return lambda data: apply(deidentifier, data)

    def _load(self, data: bytes) -> Deidentifier:
        return self._builder.load(data, self._location)

    def _tell(self, deidentifier: Deidentifier, problem: str | None) -> None:
        sha256 = deidentifier.rules.sha256
        if problem:
            logger.error("an edited rules file is refused; the last good rules stay", extra={"error": problem})
        else:
            logger.info("rules in force", extra={"rules_sha256": sha256})
        try:
            with self._database.transaction() as cursor:
                parameters = {"sha256": sha256, "statement": describe(deidentifier), "problem": problem}
                cursor.execute(_RECORD, parameters)
        except ResearchPacsError as exc:  # told again with the next batch
            count_error("rules", exc)
            return
        self._told = (sha256, problem)


def describe(deidentifier: Deidentifier) -> str:
    """Return the statement of what the rules do, without the table of attributes."""
    return as_text(make_statement(deidentifier.rules, deidentifier.recogniser, attributes=False))


def apply(deidentifier: Deidentifier, data: bytes) -> Made:
    """De-identify one instance for the queue."""
    outcome = deidentifier.deidentify(data)
    made = outcome.data if outcome.state == "deidentified" else None
    detail: dict[str, Any] = {"labels": sorted(outcome.labels)}
    if outcome.reason:
        detail["reason"] = outcome.reason
    if outcome.leaks:
        detail["findings"] = [leak.as_record() for leak in outcome.leaks]
    return Made(made, detail, deidentifier.rules.sha256, outcome.work.boxes if outcome.work else ())
