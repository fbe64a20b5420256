"""What the console's pages need in one process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

from flask import current_app

from common.errors import NotFoundError, ResearchPacsError, RulesError
from common.storage import Storage, WatchedFile
from deidentifier.builder import DeidentifierBuilder
from deidentifier.console.preview import Previews
from deidentifier.console.settings import ConsoleSettings
from deidentifier.ingest import Ingest
from deidentifier.rules_file import load_rules


@dataclass
class Console(Ingest):
    """The peers of the ingest side, with the console's own settings."""

    settings: ConsoleSettings

    @cached_property
    def previews(self) -> Previews:
        """What the rules in force would make of originals."""
        make_builder = partial(DeidentifierBuilder.with_database, self.settings, self.database)
        return Previews(self.settings.rules, make_builder)

    @cached_property
    def _rules_as_written(self) -> WatchedFile[str]:
        storage = Storage(endpoint=self.settings.s3_endpoint, region=self.settings.aws_region)
        return WatchedFile(self.settings.rules, partial(_problem, self.settings.rules), storage=storage)

    def rules_problem(self) -> str:
        """Return what is wrong with the rules file as it lies there; empty where nothing is.

        Workers look at the file when they have work: an edit that they will refuse is known here before.
        """
        try:
            file = self._rules_as_written
            return file.value or str(file.error or "")
        except ResearchPacsError as exc:
            return str(exc)


def _problem(location: str, data: bytes) -> str:
    try:
        load_rules(data, location)
    except RulesError as exc:
        return "\n".join(map(str, exc.problems))
    return ""


def console() -> Console:
    """Return the console of the application that handles this request."""
    return cast(Console, current_app.extensions["console"])


def find_task(task: int) -> dict[str, Any]:
    """Return the row of a task that works on an instance.

    Raises
    ------
    NotFoundError
        There is none.
    """
    rows = console().queue.list_tasks(ids=[task], kinds=["deidentify"], limit=1)
    if not rows:
        raise NotFoundError
    return rows[0]
