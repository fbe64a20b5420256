"""What a run says while it works: lines on standard error, and a bar where that is a terminal."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Terminal(Protocol):
    """Where a run reports to its user."""

    def tell(self, line: str) -> None:
        """Print a line."""

    def advance(self) -> None:
        """Count one more file that is done."""


class Lines:
    """Standard error in a file or a pipe: lines alone."""

    def tell(self, line: str) -> None:
        """Print a line."""
        print(line, file=sys.stderr)

    def advance(self) -> None:
        """Draw nothing."""


class Bar:
    """A terminal: lines above a bar with the number of files and the time that is left."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("de-identifying", total=total)

    def tell(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def advance(self) -> None:
        """Move the bar."""
        self._progress.advance(self._task)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def terminal(total: int) -> AbstractContextManager[Terminal]:
    """Return where a run over so many files reports to."""
    if not sys.stderr.isatty():
        return nullcontext(Lines())
    from rich.console import Console  # a quarter of a command's start, where nobody would see it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Bar(Progress(*columns, console=Console(stderr=True), transient=True), total)
