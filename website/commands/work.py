"""Run the workers of the research side, until SIGTERM: follow, reconcile, index, export.

--only takes some of them, separated by commas. Followers and reconcilers belong into one small replica, never zero;
indexers and exporters scale by replicas, down to zero.
"""

from __future__ import annotations

import argparse
from threading import Event

from common import log
from common.errors import ConfigurationError
from common.memory import keep_freed_memory
from common.metrics import serve
from common.service import stop_on_signals
from common.settings import load, words
from common.worker import Pool
from website.exports.build import build_export_services
from website.settings import ExportWorkerSettings, WorkerSettings
from website.workers.exporter import Exporter, admit_jobs
from website.workers.research import Research

ROLES = ("follow", "reconcile", "index", "export")
THREADS = 2
JOBS = 4
"""Exports that one process runs side by side, at most."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--only", default=",".join(ROLES), metavar="ROLES", help=f"some of {', '.join(ROLES)}")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="M", help=f"indexing threads ({THREADS})")


def run(arguments: argparse.Namespace) -> int:
    """Work until SIGTERM."""
    roles = words(arguments.only)
    if unknown := sorted(set(roles) - set(ROLES)):
        raise ConfigurationError(f"--only takes {', '.join(ROLES)}, not {', '.join(unknown)}")
    # Only exports have to know who may do what.
    settings = load(ExportWorkerSettings if "export" in roles else WorkerSettings)
    log.configure(settings)
    keep_freed_memory()
    research = Research.from_settings(settings, "website work", connections=arguments.threads + 4 + 4 * JOBS)
    with stop_on_signals() as stop:
        if settings.metrics_port:
            serve(settings.metrics_port, research.queue, research.checks())
        if "follow" in roles:
            research.follow(stop)
        if "reconcile" in roles:
            research.reconcile(stop)
        pools = []
        if "index" in roles:
            pools.append(Pool(research.queue, research.indexer(), threads=arguments.threads, stop=stop))
        if isinstance(settings, ExportWorkerSettings):
            pools.append(_exports(research, settings, stop))
        for pool in pools:
            pool.start()
        for pool in pools:
            pool.join()
        stop.wait()
    return 0


def _exports(research: Research, settings: ExportWorkerSettings, stop: Event) -> Pool:
    services = build_export_services(settings, research.database, research.orthanc)
    admit_jobs(services.exports, research.queue, settings, stop)
    jobs = min(JOBS, settings.export_jobs)
    return Pool(research.queue, Exporter(services, research.queue), threads=jobs, stop=stop)
