"""Predefine pseudonyms: a CSV with the columns PatientID, SubjectCode and, if there are projects, Project.

They are what RandomizeText with ReuseMapping: Always gives for these Patient IDs, or RandomizeText with that Project.
Log in as the role of the worker. Nothing that is stored already changes: who has another pseudonym in the project, and
codes that are taken, are left out, each with its line. Codes are unique across all projects, ignoring case.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.database import Database
from common.errors import ConfigurationError
from common.settings import CommonSettings, load
from deidentifier.mappings import MappingKey, PostgresMappings
from deidentifier.transformations.randomize_text import parse_project
from deidentifier.withdrawal import normal

_COLUMNS = {"PatientID", "SubjectCode"}
_BATCH = 1000
_TAKEN = (
    "the code stands for another patient or another project, here or in what is stored (case makes no difference); "
    "the research side could not tell the two apart: give this one another code, such as one that begins with the "
    "project"
)
_OTHER = (
    "the patient has another pseudonym there already, which stays: put that one (reidentify --export) into the list"
)


@dataclass(frozen=True)
class _Line:
    """A line of the file."""

    number: int
    key: MappingKey
    code: str

    @property
    def project(self) -> str:
        return self.key[4] if len(self.key) > 4 else ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE.csv")


def run(arguments: argparse.Namespace) -> int:
    """Store what is new; 1 where something was left out."""
    lines = [*_read(arguments.file)]
    store = PostgresMappings(
        Database.from_settings(load(CommonSettings), application="deidentifier-pseudonyms", max_connections=1)
    )
    refused = _repeated(lines)
    wanted = [line for line in lines if line not in refused]
    for first in range(0, len(wanted), _BATCH):
        some = wanted[first : first + _BATCH]
        stored = store.predefine({line.key: line.code for line in some})
        refused |= {
            line: _OTHER if line.key in stored else _TAKEN for line in some if stored.get(line.key) != line.code
        }
    for line in sorted(refused, key=lambda line: line.number):
        print(f"{arguments.file}:{line.number}: left out: {refused[line]}", file=sys.stderr)
    for project, count in sorted(Counter(line.project for line in lines if line not in refused).items()):
        print(f"{count} pseudonyms are in force {f'in the project {project}' if project else 'outside all projects'}")
    print(f"{len(refused)} were left out: another is stored, or it is taken")
    return 1 if refused else 0


def _repeated(lines: list[_Line]) -> dict[_Line, str]:
    """Return the lines that repeat a code of a line before."""
    first: dict[str, MappingKey] = {}
    return {line: _TAKEN for line in lines if first.setdefault(line.code.lower(), line.key) != line.key}


def _read(path: Path) -> Iterator[_Line]:
    """Yield the lines of a file; raises ConfigurationError at the first that cannot be understood."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if not set(reader.fieldnames or ()) >= _COLUMNS:
            raise ConfigurationError(f"{path}:1: expected the columns PatientID and SubjectCode, and perhaps Project")
        known: dict[MappingKey, _Line] = {}
        for row in reader:
            line = _line(f"{path}:{reader.line_num}", reader.line_num, row)
            before = known.setdefault(line.key, line)
            if before.code != line.code:
                raise ConfigurationError(
                    f"{path}:{line.number}: the patient of line {before.number} again, with another code in the project"
                )
            if before is line:
                yield line


def _line(place: str, number: int, row: dict[str, str]) -> _Line:
    patient, code = normal(row["PatientID"] or ""), (row["SubjectCode"] or "").strip()
    if not patient or not code or len(code) > 64 or "\\" in code:
        raise ConfigurationError(f"{place}: expected a Patient ID and a code of up to 64 characters")
    project = (row.get("Project") or "").strip()
    try:
        in_project = (parse_project(project),) if project else ()
    except ValueError as exc:
        raise ConfigurationError(f"{place}: Project: {exc}") from None
    return _Line(number, ("TEXT", "Always", "", patient, *in_project), code)
