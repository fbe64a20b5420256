"""De-identifying many files in several processes: what is done with one, and how they are spread.

A worker process loads the rules itself and reaches the mappings either in PostgreSQL or, without a database, in
the starting process through a manager: all workers of a run always share one set of mappings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import QuarantineError, RefusedError, ResearchPacsError
from common.settings import CommonSettings, load
from common.storage import join
from deidentifier.builder import DeidentifierBuilder
from deidentifier.deidentify import Outcome
from deidentifier.mappings import MappingStore, MemoryMappings, PostgresMappings
from deidentifier.offline.changes import Change, compare
from deidentifier.offline.inputs import Input, output_path, read_input
from deidentifier.pseudonym_key import pseudonym_key
from deidentifier.rules import Rules
from deidentifier.rules_file import load_rules
from deidentifier.settings import OfflineSettings


@dataclass(frozen=True)
class Job:
    """What all files of a run have in common.

    ``compare`` asks for the values before and after, ``report`` for what each rule changed;
    ``rename`` names results after their SOP Instance UID;
    ``preview`` is a folder for pictures before and after, with boxes.
    """

    rules: bytes
    rules_name: str
    output: str
    settings: OfflineSettings
    rename: bool = False
    compare: bool = False
    report: bool = False
    preview: str = ""


@dataclass(frozen=True)
class Result:
    """What became of one file: ``state`` is ``deidentified``, ``discarded`` or ``failed``."""

    number: int
    source: Input
    state: str
    output: str | None = None
    error: tuple[str, str] | None = None
    labels: tuple[str, ...] = ()
    report: tuple[dict[str, Any], ...] = ()
    changes: list[Change] = field(default_factory=list)


class Worker:
    """De-identifies files one after another; by the job's rules, which a process of its own reads for itself."""

    def __init__(self, job: Job, mappings: MappingStore, rules: Rules | None = None) -> None:
        self._job = job
        builder = DeidentifierBuilder(job.settings, mappings)
        self._storage = builder.storage
        self._deidentifier = builder.build(rules or load_rules(job.rules, job.rules_name))

    def process(self, number: int, source: Input) -> Result:
        """De-identify one file and write the result; what fails is told, not raised."""
        try:
            return self._process(number, source)
        except ResearchPacsError as exc:
            return Result(number, source, "failed", error=(exc.code, str(exc)))

    def _process(self, number: int, source: Input) -> Result:
        data = read_input(source, self._storage, self._job.settings.max_inflated_bytes)
        outcome = self._deidentify(number, data)
        result = self._finish(number, source, data, outcome)
        if outcome.work is not None:
            outcome.work.release()
        return result

    def _finish(self, number: int, source: Input, data: bytes, outcome: Outcome) -> Result:
        """Write the result, if there is one."""
        if outcome.state != "deidentified":
            return Result(number, source, outcome.state, labels=tuple(sorted(outcome.labels)))
        relative = f"{outcome.sop_instance_uid}.dcm" if self._job.rename else output_path(source.relative)
        location = join(self._job.output, relative)
        parts = outcome.file.parts if outcome.file is not None else ()
        if not self._job.rename:
            self._storage.write(location, *parts)
        elif not self._storage.write_once(location, *parts):
            raise RefusedError("another file became the same instance, with other contents; it stands in the output")
        return Result(
            number,
            source,
            outcome.state,
            output=relative,
            labels=tuple(sorted(outcome.labels)),
            report=tuple(finding.as_record() for finding in outcome.report) if self._job.report else (),
            changes=compare(data, outcome.data) if self._job.compare else [],
        )

    def _deidentify(self, number: int, data: bytes) -> Outcome:
        """De-identify; draw previews, also of what goes to quarantine."""
        try:
            outcome = self._deidentifier.deidentify(data)
        except QuarantineError as exc:
            if self._job.preview:
                from deidentifier.pixels.preview import boxes_of, write_preview  # which draws: only for who asks

                write_preview(Path(self._job.preview), f"{number:06}", data, None, boxes_of(exc))
            raise
        cleaned = outcome.work.cleaned if outcome.work else None
        if self._job.preview and cleaned:
            from deidentifier.pixels.preview import write_preview

            write_preview(Path(self._job.preview), f"{number:06}", data, outcome.data, cleaned.boxes)
        return outcome


def database_mappings(key: str = "") -> PostgresMappings:
    """Return the mappings in the database that the environment names."""
    from common.database import Database  # only for who has one

    settings = load(CommonSettings)
    database = Database.from_settings(settings, application="deidentifier-run", max_connections=2)
    return PostgresMappings(database, key=pseudonym_key(key))


def memory_mappings(workers: int) -> AbstractContextManager[MappingStore]:
    """Provide mappings in memory; for several workers, through a process of their own that serves them."""
    if workers == 1:
        return nullcontext(MemoryMappings())
    from deidentifier.offline.pool import served_mappings

    return served_mappings()


def process_all(
    job: Job, inputs: list[Input], mappings: MappingStore | None, workers: int, rules: Rules | None = None
) -> Iterator[Result]:
    """De-identify files and yield results as they are ready.

    Parameters
    ----------
    mappings
        None for those in the database, which each worker opens itself.
    workers
        Processes; 1 works in this one.
    rules
        Those of the job, where they are loaded already.
    """
    numbered = enumerate(_distinct(job, inputs), 1)
    if workers == 1:
        worker = Worker(job, mappings if mappings is not None else database_mappings(job.settings.pseudonym_key), rules)
        for number, source in numbered:
            yield worker.process(number, source)
        return
    from deidentifier.offline.pool import process_in_pool

    yield from process_in_pool(job, numbered, mappings, workers)


def _distinct(job: Job, inputs: list[Input]) -> Iterator[Input]:
    """Refuse an input whose result would overwrite that of an earlier one."""
    taken: set[str] = set()
    for source in inputs:
        path = output_path(source.relative)
        if path in taken and not job.rename and source.problem is None:
            problem = RefusedError("another file has the same path below the output; name its folder, or use --rename")
            yield Input(source.location, source.relative, source.member, problem)
        else:
            taken.add(path)
            yield source
