"""Hand in work besides the change feed: files, folders, s3:// prefixes, instances of the source Orthanc.

Runs through the live workers. Local files travel through the database in encrypted pieces of 8 MB, 1 GB at most; s3://
sources are read by the workers; orthanc:// names an instance that waits or is preserved there. RPACS_SUBMISSION_KEY
encrypts locations, rules and files; the workers need the same. The rules and the destination are checked now.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from common.database import Database
from common.errors import ConfigurationError, RefusedError, ResearchPacsError
from common.file_errors import file_errors
from common.settings import load, location
from common.storage import Storage, is_s3
from common.tasks import TaskQueue
from deidentifier.ingest import SCHEMA
from deidentifier.rules_file import load_rules
from deidentifier.settings import DeidentifierSettings
from deidentifier.submissions import LARGEST, Request, Submissions

_ORTHANC = re.compile(r"orthanc://[0-9a-f]{8}(-[0-9a-f]{8}){4}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--source", action="append", required=True, metavar="WHERE", help="orthanc://ID, s3://…, PATH")
    parser.add_argument("--rules", metavar="RULES.yaml", help="other rules than those in force")
    parser.add_argument("--destination", metavar="WHERE", help="a folder or s3:// prefix; else the research Orthanc")
    parser.add_argument("--log", metavar="WHERE", help="a folder or s3://bucket/prefix that receives a JSON record")
    parser.add_argument("--no-retry", action="store_true", help="the first error of an instance is its last")


def run(arguments: argparse.Namespace) -> int:
    """Submit; print the submissions' identifiers; exit code 1 when something could not be handed in."""
    settings = load(DeidentifierSettings)
    database = Database.from_settings(settings, application="deidentifier submit")
    submissions = Submissions(database, settings.submission_key)
    storage = Storage(endpoint=settings.s3_endpoint, region=settings.aws_region)
    request = _request(arguments, storage)
    queue, failed, sources = TaskQueue(database, SCHEMA), False, list[str]()
    for given in arguments.source:
        try:
            sources += list(_expand(given, storage))  # of what cannot be listed as a whole nothing is handed in
        except ConfigurationError:
            raise
        except ResearchPacsError as exc:
            failed = True
            _complain(given, exc)
    for source in sources:
        try:
            print(_submit(submissions, queue, _for(request, source), source))
        except ResearchPacsError as exc:
            failed = True
            _complain(source, exc)
    return 1 if failed or not sources else 0


def _complain(source: str, error: ResearchPacsError) -> None:
    """Name the place of an error, which messages do not: this is the command's own terminal."""
    place = error.__cause__.filename if isinstance(error.__cause__, OSError) else None
    print(f"{place or source}: {error}", file=sys.stderr)


def _request(arguments: argparse.Namespace, storage: Storage) -> Request:
    rules = storage.read(arguments.rules) if arguments.rules else b""
    if rules:
        load_rules(rules, arguments.rules)
    for given in (arguments.destination, arguments.log):
        try:
            location(given) if given else None
        except ValueError as exc:
            raise ConfigurationError(f"{given} {exc}") from exc
    if arguments.destination and not is_s3(arguments.destination) and not Path(arguments.destination).is_dir():
        raise ConfigurationError(f"{arguments.destination} is no folder")
    return Request("", rules.decode(), arguments.destination or "", arguments.log or "", arguments.no_retry)


def _expand(given: str, storage: Storage) -> Iterator[str]:
    """Yield the single instances that a source names."""
    if given.startswith("orthanc://"):
        if not _ORTHANC.fullmatch(given):
            raise ConfigurationError(f"{given} names no instance: orthanc:// and its identifier in the source Orthanc")
        yield given
        return
    yield from (entry.location for entry in storage.list(given))


def _for(request: Request, source: str) -> Request:
    remote = source if is_s3(source) or source.startswith("orthanc://") else ""
    return dataclasses.replace(request, source=remote)


def _submit(submissions: Submissions, queue: TaskQueue, request: Request, source: str) -> str:
    if request.source:
        submission = submissions.submit(queue, request)
    else:
        with file_errors(), Path(source).open("rb") as file:
            if os.fstat(file.fileno()).st_size > LARGEST:
                raise RefusedError("a file may have 1 GB at most: put it into S3")
            submission = submissions.submit(queue, request, file)
    return json.dumps({"submission": submission, "source": source})
