"""What a run tells: a report of a line per file, the maps of identifiers, and before/after on the terminal."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from typing import IO, Any, Self

from deidentifier.offline.batch import Result
from deidentifier.offline.changes import patient_pairs, uid_pairs


class Report:
    """A JSON Lines file, a line per input in the order in which they are done.

    Values and file names, which carry names, stand in it only with ``show_values``; without, an input is known by
    its number, which the terminal shows with the name of what failed.
    """

    def __init__(self, file: IO[str], *, show_values: bool) -> None:
        self._file = file
        self._show_values = show_values

    def add(self, result: Result) -> None:
        """Write the line of a result."""
        self._file.write(json.dumps(self._record(result), ensure_ascii=False) + "\n")

    def _record(self, result: Result) -> dict[str, Any]:
        record: dict[str, Any] = {"number": result.number, "state": result.state}
        if result.error:
            record["error"] = {"code": result.error[0], "message": result.error[1]}
        else:
            record |= {"labels": list(result.labels), "changes": list(result.report)}
        if self._show_values:
            record |= {"file": str(result.source), "output": result.output}
            record["values"] = [
                {"path": change.path, "vr": change.vr, "before": change.before, "after": change.after}
                for change in result.changes
            ]
        return record


class IdentifierMap:
    """Old and new identifiers, gathered over a run and written as CSV with the columns ``id_old,id_new``."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], None] = {}

    def add(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Add pairs; each is kept once, in the order of first sight."""
        self._pairs.update(dict.fromkeys(pairs))

    def write(self, path: str) -> None:
        """Write the file, for its owner's eyes alone."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("id_old", "id_new"))
        writer.writerows(self._pairs)
        with open_private(path) as file:
            file.write(text.getvalue())


class Maps:
    """The maps that a run was asked for: of UIDs and of patients, each with the path of its file or None."""

    def __init__(self, uids: str | None, patients: str | None) -> None:
        self._wanted = [
            (path, IdentifierMap(), pairs) for path, pairs in ((uids, uid_pairs), (patients, patient_pairs)) if path
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path, gathered, _pairs in self._wanted:
            gathered.write(path)

    def add(self, result: Result) -> None:
        """Add what a result changed."""
        for _path, gathered, pairs in self._wanted:
            gathered.add(pairs(result.changes))


def open_private(path: str) -> IO[str]:
    """Open a file for writing that only its owner may read: it holds identifiers."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(handle, 0o600)
    return os.fdopen(handle, "w", encoding="utf-8")
