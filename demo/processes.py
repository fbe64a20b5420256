"""Processes of ours under one supervisor: prefixed logs, an end with the demo."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigurationError

ROOT = Path(__file__).parents[1]
_LOUD = re.compile(r"(?:^|\d )(?:ERROR|CRITICAL) ")


@dataclass
class Service:
    """A process of the product: its name in the log, its command, its environment."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]


class Supervisor:
    """Starts services, writes their lines into one log with their names in front, and ends them.

    Parameters
    ----------
    log
        Receives every line.
    say
        Receives the lines that a person should see: errors.
    """

    def __init__(self, log: Path, say: Callable[[str], None]) -> None:
        self._log = log.open("a", buffering=1)
        self._say = say
        self._lock = threading.Lock()
        self._running: list[tuple[Service, subprocess.Popen[str]]] = []
        self._readers: list[threading.Thread] = []
        self._latest: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=5))

    def run(self, service: Service, *, given: str = "") -> None:
        """Run a service that ends by itself (migrations), with some text on its standard input.

        Raises
        ------
        ConfigurationError
            It failed; the message holds the end of its output.
        """
        finished = subprocess.run(
            service.command,
            env=self._environ(service),
            cwd=ROOT,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        for line in (finished.stdout + finished.stderr).splitlines():
            self._write(service.name, line)
        if finished.returncode:
            tail = "\n".join((finished.stdout + finished.stderr).strip().splitlines()[-5:])
            raise ConfigurationError(f"{service.name} failed (exit code {finished.returncode}):\n{tail}")

    def start(self, service: Service) -> None:
        """Start a service that stays."""
        process = subprocess.Popen(
            service.command,
            env=self._environ(service),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        reader = threading.Thread(target=self._read, args=(service, process), daemon=True)
        reader.start()
        self._readers.append(reader)
        self._running.append((service, process))

    def ended(self) -> dict[str, str]:
        """Return the services that ended by themselves, with the last lines each wrote."""
        names = [service.name for service, process in self._running if process.poll() is not None]
        return {name: "\n".join(f"{name} | {line}" for line in self._latest[name]) for name in names}

    def stop(self) -> None:
        """End every service, the last started first, and everything they started."""
        for _, process in reversed(self._running):
            _signal(process, signal.SIGTERM)
        for _, process in reversed(self._running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            _signal(process, signal.SIGKILL)
            process.wait()
        for reader in self._readers:
            reader.join(5)
        self._running.clear()
        self._log.close()

    def _environ(self, service: Service) -> dict[str, str]:
        # What the caller's shell holds for another deployment must not reach the demo.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RPACS_", "AWS_ACCESS"))}
        return inherited | {"PYTHONUNBUFFERED": "1"} | dict(service.environ)

    def _read(self, service: Service, process: subprocess.Popen[str]) -> None:
        with process.stdout or contextlib.nullcontext(()) as lines:
            for line in lines:
                self._write(service.name, line.rstrip())
                self._latest[service.name].append(line.rstrip())
                if _LOUD.search(line):
                    self._say(f"{service.name} | {line.rstrip()}")

    def _write(self, name: str, line: str) -> None:
        with self._lock:
            if not self._log.closed:
                self._log.write(f"{name:<14} | {line}\n")


def _signal(process: subprocess.Popen[str], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
