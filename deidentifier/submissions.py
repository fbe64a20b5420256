"""Work that is handed in besides the change feed: with other rules, to another destination, from files and S3.

A submission is an encrypted request and, for a local file, its bytes in encrypted pieces. The key is derived from
``RPACS_SUBMISSION_KEY``; each part is bound to its place (:mod:`common.sealing`), so that parts cannot be exchanged
in the database.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from common.database import Cursor, Database, load_statements
from common.errors import ConfigurationError, NotFoundError, RefusedError
from common.sealing import Seal
from common.tasks import Asked, TaskQueue

KIND = "submit"
PIECE = 8 << 20
LARGEST = 1 << 30


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes
    ----------
    source
        ``orthanc://ID``, ``s3://…``, or empty where the bytes are in pieces.
    rules
        Text of the rules file; empty for the rules in force.
    destination
        A folder or ``s3://`` prefix; empty for the research Orthanc.
    log
        Where the record goes; empty for none.
    no_retry
        The first error of the instance is the last.
    """

    source: str = ""
    rules: str = ""
    destination: str = ""
    log: str = ""
    no_retry: bool = False


class Submissions:
    """The submissions of the ingest side.

    Raises
    ------
    ConfigurationError
        There is no key.
    """

    def __init__(self, database: Database, key: str) -> None:
        if not key:
            raise ConfigurationError("RPACS_SUBMISSION_KEY is missing: submissions are encrypted with it")
        self._database = database
        self._seal = Seal("submission", key, "RPACS_SUBMISSION_KEY")
        self._sql = load_statements(Path(__file__).with_suffix(".sql"))

    def submit(self, queue: TaskQueue, request: Request, file: BinaryIO | None = None) -> str:
        """Queue one instance; returns the submission's identifier.

        Raises
        ------
        RefusedError
            The file is larger than 1 GB.
        """
        submission = str(uuid.uuid4())
        with self._database.transaction() as cursor:
            sealed = self._seal.seal(json.dumps(asdict(request)).encode(), _place(submission))
            cursor.execute(self._sql["insert"], {"id": submission, "request": sealed})
            if file is not None:
                self._write_pieces(cursor, submission, file)
            if request.source.startswith("orthanc://"):
                kind, subject = "deidentify", request.source.removeprefix("orthanc://")
                queue.enqueue_found(cursor, kind, [subject], repeat=True, ended=0)
            else:
                kind, subject = KIND, submission
                queue.enqueue(cursor, kind, [Asked(subject)])
            cursor.execute(self._sql["attach"], {"id": submission, "kind": kind, "subject": subject})
            if not cursor.rowcount:
                raise RefusedError("the instance's task waits for a person: retry or discard it first")
        return submission

    def read(self, submission: str) -> Request:
        """Return what was asked for.

        Raises
        ------
        NotFoundError
            It was erased.
        """
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["read"], {"id": submission})
            row = cursor.fetchone()
        if row is None:
            raise NotFoundError("the submission was erased")
        return Request(**json.loads(self._seal.open(row[0], _place(submission))))

    def read_file(self, submission: str) -> bytes:
        """Return the file that was handed over."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["read_pieces"], {"id": submission})
            return b"".join(self._seal.open(data, _place(submission, number)) for number, data in cursor.fetchall())

    def erase(self, submissions: list[str]) -> None:
        """Erase requests and pieces."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["erase"], {"ids": submissions})

    def erase_ended(self) -> None:
        """Erase what belongs to no task that waits, runs, or awaits a person."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["erase_ended"])

    def _write_pieces(self, cursor: Cursor, submission: str, file: BinaryIO) -> None:
        for number in range(LARGEST // PIECE + 1):
            piece = file.read(PIECE)
            if not piece:
                return
            if number * PIECE + len(piece) > LARGEST:
                raise RefusedError("a file may have 1 GB at most")
            sealed = self._seal.seal(piece, _place(submission, number))
            cursor.execute(self._sql["insert_piece"], {"id": submission, "number": number, "data": sealed})


def _place(submission: str, number: int = -1) -> str:
    """Name the place of a piece of the file, or of the request."""
    return f"{submission}/{number}"
