"""What file systems raise, translated once into errors of ours: without names."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import (
    NotFoundError,
    RefusedError,
    ResearchPacsError,
    StorageFullError,
    StorageUnavailableError,
)


@contextmanager
def file_errors() -> Iterator[None]:
    """Raise NotFoundError, RefusedError, StorageFullError or StorageUnavailableError for what is raised inside."""
    try:
        yield
    except OSError as exc:
        raise _os_error(exc) from exc


def _os_error(exc: OSError) -> ResearchPacsError:
    reason = os.strerror(exc.errno) if exc.errno else type(exc).__name__
    if exc.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return NotFoundError(f"cannot be read: {reason}")
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EEXIST):
        return RefusedError(f"refused by the file system: {reason}")
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError(f"the storage is full: {reason}")
    return StorageUnavailableError(f"the file system fails: {reason}")
