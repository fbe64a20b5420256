"""Rebuild the index from the research Orthanc; searches go on meanwhile.

Every instance is read and added anew; what Orthanc no longer holds leaves the index. Run it after an upgrade that says
so, or when the index was restored from an old backup. Interrupted, it can be run again.
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from common.command_line import DONE, FAILED
from common.database import Database
from common.orthanc import Orthanc
from common.settings import load
from website.index import Index
from website.rebuild import rebuild
from website.settings import OrthancSettings

THREADS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--threads", type=int, default=THREADS, metavar="M", help=f"reading threads ({THREADS})")


def run(arguments: argparse.Namespace) -> int:
    """Rebuild; print how many instances were indexed and removed, and which could not be read."""
    settings = load(OrthancSettings)
    orthanc = Orthanc(settings.orthanc_url, settings.orthanc_username, settings.orthanc_password)
    index = Index(Database.from_settings(settings, application="website rebuild-index"))
    columns = (TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=int(orthanc.statistics()["CountInstances"]))
        done = rebuild(orthanc, index, threads=arguments.threads, progress=lambda seen: bar.advance(task, seen))
    print(f"{done.indexed} indexed, {done.removed} removed, {len(done.failures)} failed")
    for instance, code in done.failures:
        print(f"{instance}: {code}", file=sys.stderr)
    return FAILED if done.failures else DONE
