"""Every exception that we raise on purpose.

::

    ResearchPacsError
    ├── PermanentError                  the same input will fail again
    │   ├── ConfigurationError          a file or the environment is wrong; lists every problem
    │   │   ├── SettingsError
    │   │   ├── RulesError
    │   │   └── PermissionsError
    │   ├── QueryError                  a query does not parse; knows the position
    │   ├── InvalidDicomError           not DICOM, or damaged
    │   ├── QuarantineError             a person has to look at this instance
    │   ├── NotFoundError               a peer has no such resource
    │   ├── RefusedError                a peer or we refuse: credentials, permissions, limits
    │   │   ├── RejectedError           Orthanc does not take, or give, this very thing
    │   │   ├── SearchTimeoutError      a search looks at too much
    │   │   └── UnauthenticatedError    nobody we know: no login, or a proof of it that does not hold
    │   └── StatementError              PostgreSQL refused a statement
    └── TransientError                  worth another try later, without using up an attempt
        ├── OrthancUnavailableError     network, time-out, 5xx
        ├── StorageFullError            Orthanc answered ``StorageFull``, or a disk is full
        ├── StorageUnavailableError     S3 or a file system is away
        ├── DatabaseUnavailableError
        └── LeaseEndedError             another worker may have the task

A message says what, where and what would be accepted. It never holds a DICOM value: messages go into
logs, task rows and pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class ResearchPacsError(Exception):
    """Base of all our errors; the docstring of a class is its default message."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).split("\n")[0])

    @property
    def code(self) -> str:
        """Name of the class of error, as it stands in task rows, metrics and the console: ``InvalidDicom``."""
        return type(self).__name__.removesuffix("Error")


class PermanentError(ResearchPacsError):
    """The same input will fail again."""


class TransientError(ResearchPacsError):
    """Worth another try later."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in a file: where it is (lines and columns count from 1; 0 where unknown) and what."""

    file: str
    line: int
    column: int
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        place = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])
        prefix = "" if self.severity == "error" else f"{self.severity}: "
        return f"{place}: {prefix}{self.message}"


class ConfigurationError(PermanentError):
    """A configuration is wrong."""

    def __init__(self, problems: Iterable[Problem | str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsError(ConfigurationError):
    """Environment variables are missing or malformed."""


class RulesError(ConfigurationError):
    """A rules file is wrong."""


class PermissionsError(ConfigurationError):
    """A permissions file is wrong."""


class QueryError(PermanentError):
    """A query does not parse; ``position`` counts characters from 0."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class InvalidDicomError(PermanentError):
    """The bytes are not a DICOM file, or it is damaged."""


class QuarantineError(PermanentError):
    """A person has to decide about this instance.

    ``findings`` say what was found where, without values: they are kept with the task. ``result`` is what was made of
    it nevertheless, where there is such: it is sent on if the person approves. ``boxes`` holds for each frame what was
    found in its pixels, or blackened: left, top, right, bottom in pixels, for the person's eyes.
    """

    boxes: Sequence[Sequence[tuple[int, int, int, int]]] = ()
    findings: tuple[dict[str, str], ...] = ()
    result: bytes | None = None


class NotFoundError(PermanentError):
    """There is no such resource."""


class RefusedError(PermanentError):
    """The request is refused."""


class UnauthenticatedError(RefusedError):
    """The request is not authenticated."""


class RejectedError(RefusedError):
    """Orthanc rejects this instance, and would another time."""


class SearchTimeoutError(RefusedError):
    """The search takes too long: narrow it by a value that is the same in whole series, as Modality or StudyDate."""


class StatementError(PermanentError):
    """PostgreSQL refused a statement."""


class OrthancUnavailableError(TransientError):
    """Orthanc does not answer, or answers with a server error."""


class StorageFullError(TransientError):
    """The storage is full."""


class StorageUnavailableError(TransientError):
    """The storage does not answer."""


class DatabaseUnavailableError(TransientError):
    """PostgreSQL does not answer."""


class LeaseEndedError(TransientError):
    """The lease of the task ended: another worker may have it."""
