"""Starting, awaiting and stopping a server process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common.errors import ConfigurationError


class PortTakenError(ConfigurationError):
    """Somebody else listens on a port."""


def free_port() -> int:
    """Return a TCP port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int, name: str) -> None:
    """Refuse a port that somebody else listens on.

    Raises
    ------
    PortTakenError
        Names the port and the remedy.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise PortTakenError(
                f"port {port} for {name} is taken: stop what listens there, or choose another port"
            ) from exc


def wait_until(ready: Callable[[], bool], what: str, *, seconds: float = 60, every: float = 0.05) -> None:
    """Poll until something is ready.

    Raises
    ------
    TimeoutError
        Names what did not become ready in time.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not ready after {seconds:g} s")
        time.sleep(every)


class Server:
    """A server process in a process group of its own, its output in a file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.log = name, log
        self._command, self._environ = command, dict(environ or {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], bool], *, seconds: float = 60) -> None:
        """Start the process and wait until it is ready.

        Raises
        ------
        ConfigurationError
            It ended, or was not ready in time; the message holds the end of its output.
        """
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environ},
                start_new_session=True,
            )
        try:
            wait_until(lambda: not self.running() or ready(), self.name, seconds=seconds)
        except TimeoutError as exc:
            self.stop()
            raise ConfigurationError(f"{exc}; the end of {self.log}:\n{self.tail()}") from exc
        if not self.running():
            raise ConfigurationError(f"{self.name} ended when it was started; the end of {self.log}:\n{self.tail()}")

    def running(self) -> bool:
        """Tell whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, *, kill: bool = False, seconds: float = 15, first: int = signal.SIGTERM) -> None:
        """End the process and everything in its group."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL if kill else first)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
