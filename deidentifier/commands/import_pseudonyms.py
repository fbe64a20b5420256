"""Predefine pseudonyms: a CSV with the columns PatientID and SubjectCode, for patients who are not known yet.

They are what RandomizeText with ReuseMapping: Always gives for these Patient IDs. Log in as the role of the worker.
Nothing that is stored already changes: who has another pseudonym, and codes that are taken, are counted and left out.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from common.database import Database
from common.errors import ConfigurationError
from common.settings import CommonSettings, load
from deidentifier.mappings import MappingKey, PostgresMappings
from deidentifier.withdrawal import normal

_COLUMNS = {"PatientID", "SubjectCode"}
_BATCH = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE.csv")


def run(arguments: argparse.Namespace) -> int:
    """Store what is new; 1 where something was left out."""
    wanted = _read(arguments.file)
    store = PostgresMappings(
        Database.from_settings(load(CommonSettings), application="deidentifier-pseudonyms", max_connections=1)
    )
    keys = list(wanted)
    left_out = 0
    for first in range(0, len(keys), _BATCH):
        some = {key: wanted[key] for key in keys[first : first + _BATCH]}
        stored = store.fetch_or_create(some)
        left_out += sum(stored.get(key) != code for key, code in some.items())
    print(
        f"{len(keys) - left_out} pseudonyms are in force, {left_out} were left out: another is stored, or it is taken"
    )
    return 1 if left_out else 0


def _read(path: Path) -> dict[MappingKey, str]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if not set(reader.fieldnames or ()) >= _COLUMNS:
            raise ConfigurationError(f"{path}:1: expected the columns PatientID and SubjectCode")
        found: dict[MappingKey, str] = {}
        for number, row in enumerate(reader, 2):
            patient, code = normal(row["PatientID"] or ""), (row["SubjectCode"] or "").strip()
            if not patient or not code or len(code) > 64 or "\\" in code:
                raise ConfigurationError(f"{path}:{number}: expected a Patient ID and a code of up to 64 characters")
            found["TEXT", "Always", "", patient] = code
        return found
