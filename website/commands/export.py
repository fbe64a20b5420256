"""Export a query's instances to S3 on behalf of a user, and show how it gets on.

The user's permissions decide, as they are when the job runs, with the groups of their last login. Keys are never
arguments, which show in the list of processes: with --keys they are read from standard input, as JSON with access_key,
secret_key and, for temporary ones, session_token.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from common.command_line import DONE, FAILED
from common.database import Database
from common.errors import RefusedError
from common.orthanc import Orthanc
from common.settings import load
from website.exports.build import build_export_services, build_requests
from website.exports.choices import FORMATS, LAYOUTS, SYNTAXES
from website.exports.destinations import STORAGE_CLASSES
from website.exports.export import Export
from website.exports.job import ExportServices
from website.settings import ExportWorkerSettings

_EVERY = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("query", help="what to export, in the query language; empty for everything permitted")
    parser.add_argument("--user", required=True, help="whose export it is")
    parser.add_argument("--purpose", help="project or approval number, for the record")
    parser.add_argument("--format", choices=FORMATS, default="dicom")
    parser.add_argument("--transfer-syntax", choices=SYNTAXES, help="of the format transcoded")
    parser.add_argument("--layout", choices=LAYOUTS, default="tree")
    parser.add_argument("--elements", action="store_true", help="the elements as JSON beside each")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--destination", metavar="NAME", help="a destination of the administrator's file")
    place.add_argument("--bucket", help="a bucket, written to by --role-arn or --keys")
    parser.add_argument("--prefix", default="", help="folder in the bucket")
    parser.add_argument("--region", default="")
    parser.add_argument("--endpoint", default="", help="another S3 server than Amazon's, of those that are allowed")
    parser.add_argument("--role-arn", default="", help="role to assume")
    parser.add_argument("--keys", action="store_true", help="read keys from standard input, as JSON")
    parser.add_argument("--kms-key", default="")
    parser.add_argument("--storage-class", choices=STORAGE_CLASSES, default="")
    parser.add_argument("--owner-full-control", action="store_true")
    parser.add_argument("--no-wait", action="store_true", help="print the job's identifier and leave")


def run(arguments: argparse.Namespace) -> int:
    """Ask for the export; wait for it unless told not to."""
    settings = load(ExportWorkerSettings)
    database = Database.from_settings(settings, application="website export")
    orthanc = Orthanc(settings.orthanc_url, settings.orthanc_username, settings.orthanc_password)
    services = build_export_services(settings, database, orthanc)
    try:
        access = services.permissions.value.access(arguments.user, services.users.groups(arguments.user))
        if not access.may("export"):
            raise RefusedError("this user may not export")
        requests = build_requests(settings, database, orthanc, services.index)
        identifier = requests.make(access, _given(arguments), arguments.purpose)
        services.audit.append({"action": "export", "phase": "create", "user": arguments.user, "export": identifier})
        print(identifier, flush=True)
        return DONE if arguments.no_wait else wait(services, identifier)
    finally:
        services.audit.close()


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    kind = "configured" if arguments.destination else "keys" if arguments.keys else "role"
    given = {**vars(arguments), "kind": kind, "name": arguments.destination}
    if arguments.keys:
        try:
            given |= {name: str(value) for name, value in json.loads(sys.stdin.read()).items()}
        except (ValueError, AttributeError):
            raise RefusedError("--keys wants JSON on standard input: access_key, secret_key, session_token") from None
    return given


def wait(services: ExportServices, identifier: str) -> int:
    """Show the progress of a job until it ends or waits for somebody."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"))
    with Progress(*columns, TimeRemainingColumn(), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("queued", total=None)
        while True:
            export = services.exports.read(identifier)
            progress.update(task, description=export.state, completed=export.done, total=max(export.instances, 1))
            if export.ended or export.state == "paused":
                return _report(export)
            time.sleep(_EVERY)


def _report(export: Export) -> int:
    print(f"{export.state}: {export.sent:,} of {export.instances:,} instances, {export.bytes:,} bytes, "
          f"{export.failed:,} failed, in {export.destination.url}")  # fmt: skip
    if export.reason:
        print(export.reason, file=sys.stderr)
    return DONE if export.state == "done" and not export.failed else FAILED
