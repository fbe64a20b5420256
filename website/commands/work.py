"""Run the workers of the research side, until SIGTERM: follow, reconcile, index.

--only takes some of them, separated by commas. Followers and reconcilers belong into one small replica, never zero;
indexers scale by replicas, down to zero.
"""

from __future__ import annotations

import argparse

from common import log
from common.errors import ConfigurationError
from common.metrics import serve
from common.service import stop_on_signals
from common.settings import load, words
from common.worker import Pool
from website.settings import WorkerSettings
from website.workers.research import Research

ROLES = ("follow", "reconcile", "index")
THREADS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--only", default=",".join(ROLES), metavar="ROLES", help=f"some of {', '.join(ROLES)}")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="M", help=f"indexing threads ({THREADS})")


def run(arguments: argparse.Namespace) -> int:
    """Work until SIGTERM."""
    roles = words(arguments.only)
    if unknown := sorted(set(roles) - set(ROLES)):
        raise ConfigurationError(f"--only takes {', '.join(ROLES)}, not {', '.join(unknown)}")
    settings = load(WorkerSettings)
    log.configure(settings)
    research = Research.from_settings(settings, "website work", connections=arguments.threads + 4)
    with stop_on_signals() as stop:
        if settings.metrics_port:
            serve(settings.metrics_port, research.queue, research.checks())
        if "follow" in roles:
            research.follow(stop)
        if "reconcile" in roles:
            research.reconcile(stop)
        if "index" in roles:
            pool = Pool(research.queue, research.indexer(), threads=arguments.threads, stop=stop)
            pool.start()
            pool.join()
        stop.wait()
    return 0
