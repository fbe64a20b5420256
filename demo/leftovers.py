"""Nothing of a demo outlives it: what it starts carries a mark in its environment, and is ended by that mark."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from common.errors import ConfigurationError

_MARK = "DEMO_PROCESS_OF"


@contextlib.contextmanager
def sole_demo(folder: Path) -> Iterator[None]:
    """Hold the folder of a demo as long as the block runs; end what an earlier demo there left behind.

    Raises
    ------
    ConfigurationError
        Another demo runs in the folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise ConfigurationError(
                f"a demo is running in {folder}: stop it with Ctrl-C, or set DEMO_FOLDER to another folder"
            ) from exc
        end_leftovers(folder)
        os.environ[_MARK] = str(folder.resolve())
        try:
            yield
        finally:
            del os.environ[_MARK]
            end_leftovers(folder)


def end_leftovers(folder: Path, *, seconds: float = 10) -> int:
    """End every process that carries the mark of a folder; returns how many there were."""
    found = [process for process in psutil.process_iter() if _belongs_to(process, folder.resolve())]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(found, seconds)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return len(found)


def _belongs_to(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(_MARK) == str(folder)
    except (psutil.Error, OSError):  # it ended meanwhile, or belongs to somebody else
        return False
