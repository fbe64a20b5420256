"""Fill the task queue: follow the source Orthanc's change feed, reconcile, keep the queue in order.

One small replica, never zero: it notices what arrives while no de-identifier runs.
"""

from __future__ import annotations

import argparse

from common import log
from common.metrics import serve
from common.service import stop_on_signals, stop_with_parent
from common.settings import load
from deidentifier.ingest import Ingest
from deidentifier.settings import DeidentifierSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Follow until SIGTERM."""
    settings = load(DeidentifierSettings)
    log.configure(settings)
    ingest = Ingest.from_settings(settings, "deidentifier follow")
    with stop_on_signals() as stop:
        if arguments.child:
            stop_with_parent(stop)
        elif settings.metrics_port:
            serve(settings.metrics_port, ingest.queue, ingest.checks())
        ingest.follow(stop)
        stop.wait()
    return 0
