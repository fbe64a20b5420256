"""What every benchmark shares: its arguments, its table, its goals.

A benchmark prints a table, then a line for each goal, ``goal NAME: VALUE (wanted WANTED) ok|short``, writes the same as
JSON where it is asked to, and exits 1 when a goal falls short.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq}


@dataclass(frozen=True)
class Goal:
    """One goal: what was measured, and how it compares with what was wanted."""

    name: str
    value: float
    comparison: str
    wanted: float

    @property
    def reached(self) -> bool:
        """Tell whether the goal is reached."""
        return bool(_COMPARE[self.comparison](self.value, self.wanted))

    def __str__(self) -> str:
        verdict = "ok" if self.reached else "short"
        return f"goal {self.name}: {self.value:.4g} (wanted {self.comparison} {self.wanted:.4g}) {verdict}"


@dataclass
class Benchmark:
    """Collects rows and goals of one run."""

    title: str
    goals: list[Goal] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table and keep it for the JSON file."""
        shown = Table(title=title)
        for position, column in enumerate(columns):
            shown.add_column(column, justify="left" if position == 0 else "right")
        for row in rows:
            shown.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
        Console().print(shown)
        self.tables.append({"title": title, "columns": list(columns), "rows": [list(row) for row in rows]})

    def goal(self, name: str, value: float, comparison: str, wanted: float) -> None:
        """Note a goal; it is printed at the end."""
        self.goals.append(Goal(name, value, comparison, wanted))

    def finish(self, file: Path | None) -> int:
        """Print the goals, write the JSON file, and return the exit code."""
        for goal in self.goals:
            print(goal, flush=True)
        if file is not None:
            machine = {"cores": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
            goals = [{**asdict(goal), "reached": goal.reached} for goal in self.goals]
            content = {"benchmark": self.title, "machine": machine, "goals": goals, "tables": self.tables}
            file.write_text(json.dumps(content, indent=2, default=str) + "\n")
        return 0 if self.goals and all(goal.reached for goal in self.goals) else 1


def arguments(description: str) -> argparse.ArgumentParser:
    """Make the parser of the arguments that every benchmark takes: ``--quick`` and ``--json FILE``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="measure less data, in under 50 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write tables and goals to a file")
    return parser
