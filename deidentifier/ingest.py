"""What the processes of the ingest side are made of, from their settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from threading import Event

from common.change_feed import ChangeFeed
from common.database import Database
from common.follower import start_follower
from common.metrics import Check
from common.orthanc import Orthanc
from common.service import repeat, start_thread
from common.tasks import TaskQueue
from deidentifier.builder import DeidentifierBuilder
from deidentifier.reconcile import SourceReconciler
from deidentifier.room import Room
from deidentifier.rules_in_force import RulesInForce
from deidentifier.settings import DeidentifierSettings
from deidentifier.submissions import KIND as SUBMIT
from deidentifier.submissions import Submissions
from deidentifier.submitted import SubmissionWorker, SubmittedWork
from deidentifier.worker import KIND, InstanceWorker

SCHEMA = "ingest"
_HOUR = 3600.0


@dataclass
class Ingest:
    """The peers of the ingest side."""

    settings: DeidentifierSettings
    database: Database
    queue: TaskQueue
    source: Orthanc
    destination: Orthanc

    @classmethod
    def from_settings(cls, settings: DeidentifierSettings, application: str, connections: int = 8) -> Ingest:
        """Make clients of all peers; nothing is connected yet."""
        database = Database.from_settings(settings, application=application, max_connections=connections)
        queue = TaskQueue.from_settings(settings, database, SCHEMA)
        source = Orthanc(settings.source_url, settings.source_username, settings.source_password)
        destination = Orthanc(settings.destination_url, settings.destination_username, settings.destination_password)
        return cls(settings, database, queue, source, destination)

    def checks(self) -> dict[str, Check]:
        """Return what readiness looks at."""
        return {
            "database": self.queue.counts,
            "source Orthanc": self.source.system,
            "research Orthanc": self.destination.system,
        }

    def rules(self, builder: DeidentifierBuilder | None = None) -> RulesInForce:
        """Return what watches the rules.

        Raises
        ------
        ResearchPacsError
            The rules cannot be read, or are wrong.
        """
        builder = builder or DeidentifierBuilder.with_database(self.settings, self.database)
        return RulesInForce(self.settings.rules, builder, self.database)

    def workers(self, processes: int = 1) -> tuple[InstanceWorker, SubmissionWorker | None]:
        """Return what works on instances and, where there is a key for them, on submissions.

        Parameters
        ----------
        processes
            How many share the memory.

        Raises
        ------
        ResearchPacsError
            The rules cannot be read, or are wrong.
        """
        settings = self.settings
        builder = DeidentifierBuilder.with_database(settings, self.database)
        rules = self.rules(builder)
        make = partial(
            InstanceWorker, self.source, self.destination, rules,
            preserve=settings.preserve_original_files, room=Room.of_process(processes),
        )  # fmt: skip
        if not settings.submission_key:
            return make(), None
        submissions = Submissions(self.database, settings.submission_key)
        submitted = SubmittedWork(submissions, self.destination, rules, builder)
        return make(submitted=submitted), SubmissionWorker(submissions, submitted)

    def follow(self, stop: Event) -> None:
        """Start the threads that fill the queue and keep it in order."""
        settings = self.settings
        # A follower that hangs would hold the lock that others wait for.
        reader = Orthanc(settings.source_url, settings.source_username, settings.source_password, timeout=(5, 15))
        feed = ChangeFeed(reader, self.queue, kind=KIND, name="source")
        reconciler = SourceReconciler(self.source, self.queue, preserve=settings.preserve_original_files)
        start_follower(feed, self.queue, [KIND, SUBMIT], settings, stop)
        start_thread("reconcile", repeat, "reconcile", reconciler.step, stop, float(settings.reconcile_seconds))
        start_thread("prune", repeat, "prune", self.put_in_order, stop, _HOUR)

    def put_in_order(self) -> None:
        """Erase what ended submissions left, and shrink old tasks into counts."""
        if self.settings.submission_key:
            Submissions(self.database, self.settings.submission_key).erase_ended()
        # A row lives as long as its original; preserved originals live on.
        kinds = [SUBMIT] if self.settings.preserve_original_files else [SUBMIT, KIND]
        for kind in kinds:
            while self.queue.prune(kind, self.settings.task_retention_days * 86400):
                continue
