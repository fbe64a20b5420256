"""De-identify what arrives in the source Orthanc, until SIGTERM.

Contains the follower unless --no-follow. With several processes, this one starts the others, starts them again when
they end, and shows the metrics of all. SIGTERM ends it within seconds: what is in work is finished or given back.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile

from common import log
from common.memory import keep_freed_memory
from common.metrics import serve
from common.service import Children, stop_on_signals, stop_with_parent
from common.settings import load
from common.worker import Pool
from deidentifier.ingest import Ingest
from deidentifier.settings import DeidentifierSettings, ignored_variables

logger = logging.getLogger(__name__)

THREADS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="worker processes (1)")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="M", help=f"threads of each ({THREADS})")
    parser.add_argument("--no-follow", action="store_true", help="leave the change feed to a process of its own")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--siblings", type=int, default=1, help=argparse.SUPPRESS)  # that share the memory with a child


def run(arguments: argparse.Namespace) -> int:
    """Work until SIGTERM."""
    settings = load(DeidentifierSettings)
    log.configure(settings)
    keep_freed_memory()
    ingest = Ingest.from_settings(settings, "deidentifier work", connections=arguments.threads + 4)
    if arguments.processes > 1:
        return _supervise(arguments, ingest)
    return _work(arguments, ingest)


def _work(arguments: argparse.Namespace, ingest: Ingest) -> int:
    instances, submissions = ingest.workers(arguments.siblings)
    with stop_on_signals() as stop:
        if arguments.child:
            stop_with_parent(stop)
        else:
            _warn_of_ignored_variables()
            if ingest.settings.metrics_port:
                serve(ingest.settings.metrics_port, ingest.queue, ingest.checks())
        if not arguments.no_follow:
            ingest.follow(stop)
        pools = [Pool(ingest.queue, instances, threads=arguments.threads, stop=stop)]
        if submissions is not None:
            pools.append(Pool(ingest.queue, submissions, threads=1, stop=stop))
        for pool in pools:
            pool.start()
        for pool in pools:
            pool.join()
    return 0


def _supervise(arguments: argparse.Namespace, ingest: Ingest) -> int:
    _warn_of_ignored_variables()
    command = [sys.executable, "-m", "deidentifier"]
    work = [*command, "work", "--child", "--no-follow", "--threads", str(arguments.threads)]
    work += ["--siblings", str(arguments.processes)]
    commands = {f"work {number}": work for number in range(arguments.processes)}
    if not arguments.no_follow:
        commands["follow"] = [*command, "follow", "--child"]
    with tempfile.TemporaryDirectory(prefix="rpacs-metrics-") as folder, stop_on_signals() as stop:
        # prometheus-client's own name: its processes share their numbers there.
        environ = {"PROMETHEUS_MULTIPROC_DIR": folder}
        os.environ.update(environ)
        if ingest.settings.metrics_port:
            serve(ingest.settings.metrics_port, ingest.queue, ingest.checks())
        Children(commands, environ).run(stop)
    return 0


def _warn_of_ignored_variables() -> None:
    if names := ignored_variables():
        logger.warning("these variables of earlier versions mean nothing any more: %s", ", ".join(names))
