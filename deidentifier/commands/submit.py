"""Hand in work besides the change feed: files, folders, s3:// prefixes, instances of the source Orthanc.

Runs through the live workers. Local files travel through the database in encrypted pieces of 8 MB, 1 GB at most; s3://
sources are read by the workers; orthanc:// names an instance that waits or is preserved there. RPACS_SUBMISSION_KEY
encrypts locations, rules and files; the workers need the same. The rules and the destination are checked now.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from common.database import Database
from common.errors import ConfigurationError, ResearchPacsError
from common.settings import load, location
from common.storage import Storage, is_s3
from common.tasks import TaskQueue
from deidentifier.ingest import SCHEMA
from deidentifier.rules_file import load_rules
from deidentifier.settings import DeidentifierSettings
from deidentifier.submissions import Request, Submissions

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
    queue, failed = TaskQueue(database, SCHEMA), False
    sources = [source for given in arguments.source for source in _expand(given, storage)]
    for source in sources:
        try:
            print(_submit(submissions, queue, _for(request, source), source))
        except ResearchPacsError as exc:
            failed = True
            print(f"{source}: {exc}", file=sys.stderr)
    return 1 if failed or not sources else 0


def _request(arguments: argparse.Namespace, storage: Storage) -> Request:
    rules = storage.read(arguments.rules).decode() if arguments.rules else ""
    if rules:
        load_rules(rules, arguments.rules)
    for given in (arguments.destination, arguments.log):
        try:
            location(given) if given else None
        except ValueError as exc:
            raise ConfigurationError(f"{given} {exc}") from exc
    if arguments.destination and not is_s3(arguments.destination) and not Path(arguments.destination).is_dir():
        raise ConfigurationError(f"{arguments.destination} is no folder")
    return Request("", rules, arguments.destination or "", arguments.log or "", arguments.no_retry)


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
        with Path(source).open("rb") as file:
            submission = submissions.submit(queue, request, file)
    return json.dumps({"submission": submission, "source": source})
