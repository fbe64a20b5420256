"""What the workers of the research side are made of, from their settings."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

from common.change_feed import ChangeFeed
from common.database import Database
from common.follower import start_follower
from common.metrics import Check
from common.orthanc import Orthanc
from common.service import repeat, start_thread
from common.tasks import TaskQueue
from website.exports.store import KIND as EXPORT
from website.index.index import Index
from website.settings import WorkerSettings
from website.workers.documents import DocumentBuilder
from website.workers.indexer import KIND, InstanceIndexer
from website.workers.reconciler import IndexReconciler

SCHEMA = "research"
_HOUR, _DAY = 3600.0, 86400.0
COMPARE_SECONDS = 5.0
"""The numbers of instances are compared so often."""


@dataclass
class Research:
    """The peers of the research side."""

    settings: WorkerSettings
    database: Database
    queue: TaskQueue
    orthanc: Orthanc

    @classmethod
    def from_settings(cls, settings: WorkerSettings, application: str, connections: int = 8) -> Research:
        """Make clients of all peers; nothing is connected yet."""
        database = Database.from_settings(settings, application=application, max_connections=connections)
        queue = TaskQueue.from_settings(settings, database, SCHEMA)
        orthanc = Orthanc(settings.orthanc_url, settings.orthanc_username, settings.orthanc_password)
        return cls(settings, database, queue, orthanc)

    def checks(self) -> dict[str, Check]:
        """Return what readiness looks at."""
        return {"database": self.queue.counts, "research Orthanc": self.orthanc.system}

    def indexer(self) -> InstanceIndexer:
        """Return what works on tasks of the kind ``index``."""
        return InstanceIndexer(Index(self.database), DocumentBuilder(self.orthanc))

    def follow(self, stop: Event) -> None:
        """Start the thread that reads the change feed, and those that keep the queue in order."""
        settings = self.settings
        # A follower that hangs would hold the lock that others wait for.
        reader = Orthanc(settings.orthanc_url, settings.orthanc_username, settings.orthanc_password, timeout=(5, 15))
        feed = ChangeFeed(reader, self.queue, kind=KIND, name="research")
        start_follower(feed, self.queue, [KIND, EXPORT], settings, stop)
        start_thread("prune", repeat, "prune", self._prune, stop, _HOUR)

    def reconcile(self, stop: Event) -> None:
        """Start the thread that holds the index to Orthanc."""
        reconciler = IndexReconciler(self.orthanc, Index(self.database), self.queue)
        every = min(COMPARE_SECONDS, float(self.settings.reconcile_seconds))
        start_thread("reconcile", repeat, "reconcile", reconciler.step, stop, every)

    def _prune(self) -> None:
        # The index itself knows what is indexed; the change feed is read again a minute back at most.
        while self.queue.prune(KIND, _DAY):
            continue
