"""Settings from environment variables: name, type, default and a sentence in one place.

A service's settings are a frozen dataclass whose fields are made by :func:`option`; :func:`load` reads them
all at once and reports *every* missing or malformed variable by name. ``NAME_FILE`` stands for ``NAME``
wherever a secret is given as a file (container secrets).
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

from common.errors import SettingsError

T = TypeVar("T")
_MISSING: Any = object()
_declared: list[type] = []


def text(value: str) -> str:
    """Accept any non-empty text."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def switch(value: str) -> bool:
    """Accept ``yes`` or ``no``, any case."""
    if value.lower() not in {"yes", "no"}:
        raise ValueError("must be yes or no")
    return value.lower() == "yes"


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """Accept a whole number in a range, both ends included."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", value.strip()) or not minimum <= int(value) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(value)

    return parse


def number(minimum: float, maximum: float) -> Callable[[str], float]:
    """Accept a decimal number in a range, both ends included."""

    def parse(value: str) -> float:
        try:
            parsed = float(value)
        except ValueError:
            parsed = float("nan")
        if not minimum <= parsed <= maximum:
            raise ValueError(f"must be a number from {minimum:g} to {maximum:g}")
        return parsed

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """Accept one of some words, any case; the value is the word as listed."""

    def parse(value: str) -> str:
        for word in words:
            if value.lower() == word.lower():
                return word
        raise ValueError(f"must be one of {', '.join(words)}")

    return parse


def url(value: str) -> str:
    """Accept an absolute ``http(s)`` URL."""
    if not re.fullmatch(r"https?://[^/\s@?#]+(/[^\s]*)?", value):
        raise ValueError("must be an http(s) URL")
    return value.rstrip("/")


def base_url(value: str) -> str:
    """Accept ``http(s)://host[:port]`` without a trailing slash (Orthanc's ``…_HOSTNAME``)."""
    if not re.fullmatch(r"https?://[^/\s@?#]+", value):
        raise ValueError("must be http(s)://host[:port] without a trailing slash")
    return value


def location(value: str) -> str:
    """Accept a path or ``s3://bucket/key``."""
    if value.startswith("s3://"):
        if not re.fullmatch(r"s3://[^/]+/.+", value):
            raise ValueError("must be a path or s3://bucket/key")
        return value
    return text(value)


def random_key(value: str) -> str:
    """Accept a random key of at least 32 characters."""
    if len(value) < 32:
        raise ValueError("must have at least 32 random characters (openssl rand -hex 32)")
    return value


def words(value: str) -> tuple[str, ...]:
    """Accept a comma-separated list; white space around the words and empty words are dropped."""
    return tuple(word.strip() for word in value.split(",") if word.strip())


def option(
    name: str,
    help: str,
    *,
    parse: Callable[[str], Any] = text,
    default: Any = _MISSING,
    secret: bool = False,
) -> Any:
    """Declare one setting: a dataclass field that carries its environment variable, parser and sentence.

    Parameters
    ----------
    name
        The environment variable.
    help
        One sentence for ``doc/environment-variables.md``.
    parse
        Turns the variable's text into a value; raises ``ValueError`` saying what would be accepted.
    default
        The value where the variable is absent or empty; without it the variable is mandatory.
    secret
        Never shown in ``repr``, logs or errors.
    """
    metadata = {"variable": name, "help": help, "parse": parse, "secret": secret}
    if default is _MISSING:
        return dataclasses.field(repr=not secret, metadata=metadata)
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
def settings(cls: type[T]) -> type[T]:
    """Make a class of options a frozen, keyword-only dataclass, and remember it for the manual."""
    _declared.append(dataclasses.dataclass(frozen=True, kw_only=True)(cls))
    return cls


def declared() -> list[type]:
    """Return the classes of settings of all modules that were imported."""
    return list(_declared)


def load(cls: type[T], environ: Mapping[str, str] | None = None) -> T:
    """Read a settings class from the environment.

    Raises
    ------
    SettingsError
        Lists every variable that is missing, malformed, or whose ``_FILE`` cannot be read.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # cls is a dataclass by the decorator
        variable = field.metadata["variable"]
        try:
            given = _read_variable(variable, environ)
            if given:
                values[field.name] = field.metadata["parse"](given)
            elif field.default is dataclasses.MISSING:
                problems.append(f"{variable} is missing: {field.metadata['help']}")
        except ValueError as exc:
            shown = "" if field.metadata["secret"] or f"{variable}_FILE" in environ else f" (it is {given!r})"
            problems.append(f"{variable} {exc}{shown}")
        except OSError as exc:
            problems.append(f"{variable}_FILE cannot be read: {exc.strerror}")
    if problems:
        raise SettingsError(problems)
    return cls(**values)


def _read_variable(name: str, environ: Mapping[str, str]) -> str:
    path = environ.get(f"{name}_FILE")
    if path and not environ.get(name):
        return Path(path).read_text().rstrip("\r\n")
    return environ.get(name, "")


@settings
class StorageSettings:
    """What reaching files in S3 takes."""

    aws_region: str = option("AWS_REGION", "AWS region of S3, Cognito and the load balancer.", default="")
    s3_endpoint: str = option(
        "RPACS_S3_ENDPOINT", "Base URL of another S3 server than Amazon's.", parse=base_url, default=""
    )


@settings
class CommonSettings(StorageSettings):
    """What every process of ours is told."""

    database_host: str = option("RPACS_POSTGRESQL_HOSTNAME", "Host name of PostgreSQL, or the folder of its socket.")
    database_port: int = option("RPACS_POSTGRESQL_PORT", "Port of PostgreSQL.", parse=integer(1, 65535), default=5432)
    database_user: str = option("RPACS_POSTGRESQL_USERNAME", "Role to log in to PostgreSQL as.")
    database_password: str = option("RPACS_POSTGRESQL_PASSWORD", "Password of that role.", secret=True)
    database_name: str = option("RPACS_POSTGRESQL_DB_NAME", "Name of the database.")
    database_sslmode: str = option(
        "RPACS_POSTGRESQL_SSLMODE",
        "TLS towards PostgreSQL, as libpq's sslmode.",
        parse=choice("disable", "prefer", "require", "verify-ca", "verify-full"),
        default="prefer",
    )
    log_level: str = option(
        "RPACS_LOG_LEVEL",
        "Least severe level that is logged.",
        parse=choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        default="INFO",
    )
    log_format: str = option(
        "RPACS_LOG_FORMAT", "Shape of log lines: plain or json.", parse=choice("plain", "json"), default="plain"
    )
    log_record_time: bool = option("RPACS_LOG_RECORD_TIME", "Log lines carry the time.", parse=switch, default=False)
    log_function_name: bool = option(
        "RPACS_LOG_FUNCTION_NAME", "Log lines carry module and function.", parse=switch, default=False
    )


@settings
class TaskSettings(CommonSettings):
    """What processes that work on the task queue are told besides."""

    task_lease_seconds: int = option(
        "RPACS_TASK_LEASE_SECONDS",
        "A task whose worker gave no sign of life for so long is given to another.",
        parse=integer(5, 86400),
        default=120,
    )
    task_max_attempts: int = option(
        "RPACS_TASK_MAX_ATTEMPTS",
        "Attempts before a task that fails by its own fault is marked as failed.",
        parse=integer(1, 100),
        default=3,
    )
    task_retention_days: int = option(
        "RPACS_TASK_RETENTION_DAYS",
        "Days that a finished task stays in the table after its source instance is gone.",
        parse=integer(0, 36500),
        default=30,
    )
    reconcile_seconds: int = option(
        "RPACS_RECONCILE_SECONDS",
        "Seconds between two comparisons of an Orthanc with what is known of it, beside its change feed.",
        parse=integer(1, 86400),
        default=300,
    )
    metrics_port: int = option(
        "RPACS_METRICS_PORT", "Port of Prometheus metrics; 0 for none.", parse=integer(0, 65535), default=0
    )
    cloudwatch_namespace: str = option(
        "RPACS_CLOUDWATCH_NAMESPACE",
        "Namespace of CloudWatch in which followers publish the backlog, for auto scaling and alarms; none by default.",
        default="",
    )
