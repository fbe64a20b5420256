"""What the console's pages need in one process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

from flask import current_app

from common.errors import NotFoundError
from deidentifier.builder import DeidentifierBuilder
from deidentifier.console.preview import Previews
from deidentifier.console.settings import ConsoleSettings
from deidentifier.ingest import Ingest


@dataclass
class Console(Ingest):
    """The peers of the ingest side, with the console's own settings."""

    settings: ConsoleSettings

    @cached_property
    def previews(self) -> Previews:
        """What the rules in force would make of originals."""
        make_builder = partial(DeidentifierBuilder.with_database, self.settings, self.database)
        return Previews(self.settings.rules, make_builder)


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
