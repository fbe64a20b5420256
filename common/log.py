"""Logging, configured once per process.

Lines are plain text or JSON. Values of DICOM elements must never reach a log, and libraries put them into the
messages of *their* exceptions and warnings; so a traceback shows where and what class, and a message only for
errors of ours (which never hold values, see ``common.errors``).
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
import warnings
from types import TracebackType
from typing import TYPE_CHECKING

from pythonjsonlogger.json import JsonFormatter

from common.errors import ResearchPacsError

if TYPE_CHECKING:
    from common.settings import CommonSettings

# Libraries that log values of elements, URLs with identifiers, every request, or secrets of a login.
_SILENCED = ("pydicom", "pynetdicom", "botocore", "boto3", "s3transfer", "urllib3", "PIL", "werkzeug", "authlib")

TOKEN_PREFIX = "rpacs_"  # noqa: S105  # the beginning of each, no password
"""What every token of ours begins with."""
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[\w-]{{20,}}")

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def cut_secrets(text: str) -> str:
    """Return a text without the tokens in it, for whatever keeps texts that somebody sent: addresses, above all."""
    return _TOKEN.sub(f"{TOKEN_PREFIX}…", text) if TOKEN_PREFIX in text else text


def protect(*names: str) -> None:
    """Cut tokens out of what loggers with handlers of their own write (a web server's, which knows addresses)."""
    for name in names:
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(_cut_record)


def _cut_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = cut_secrets(record.getMessage()), None
    return True


def describe_exception(exc: BaseException) -> str:
    """Return frames and classes of an exception and its causes; messages only of our own errors."""
    lines: list[str] = []
    seen: BaseException | None = exc
    while seen is not None:
        frames = traceback.extract_tb(seen.__traceback__)
        lines += [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in frames]
        message = f": {seen}" if isinstance(seen, ResearchPacsError) else ""
        lines.append(f"{type(seen).__module__}.{type(seen).__qualname__}{message}")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
        if seen is not None:
            lines.append("caused by")
    return "\n".join(lines)


class _SafeTraceback(logging.Formatter):
    """Mixed into both formatters."""

    def format(self, record: logging.LogRecord) -> str:
        return cut_secrets(super().format(record))

    def formatException(self, ei: _ExcInfo) -> str:
        return describe_exception(ei[1]) if ei[1] is not None else ""


class PlainFormatter(_SafeTraceback):
    """``LEVEL message key=value …``."""

    _standard = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Append the fields given as ``extra``."""
        fields = "".join(f" {key}={value}" for key, value in vars(record).items() if key not in self._standard)
        return super().formatMessage(record) + fields


class _SafeJsonFormatter(_SafeTraceback, JsonFormatter):
    pass


def configure(settings: CommonSettings) -> None:
    """Send the log to standard error in the shape that the settings ask for."""
    parts = ["%(levelname)s"]
    if settings.log_record_time:
        parts.insert(0, "%(asctime)s")
    if settings.log_function_name:
        parts.append("%(module)s.%(funcName)s")
    form = " ".join([*parts, "%(message)s"])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_SafeJsonFormatter(form) if settings.log_format == "json" else PlainFormatter(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    silence_libraries()


def silence_libraries() -> None:
    """Keep libraries from logging or warning with the values they handle (pydicom names the value it dislikes)."""
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")
