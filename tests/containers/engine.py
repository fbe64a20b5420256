"""A Docker engine of the tests' own: installed and started where that can be, stopped afterwards.

Its images lie in a folder that is kept, so that a second run builds only what changed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

FOLDER = Path(os.environ.get("CONTAINERS_FOLDER") or Path.home() / ".cache" / "research-pacs-containers")
# Debian's package of each program.
PACKAGES = {"dockerd": "docker.io"} | {name: name for name in ("docker-compose", "debootstrap", "iptables")}
# What a mirror that is away says through apt, pip and debootstrap.
_NETWORK = re.compile(
    r"Temporary failure|Could not resolve|Unable to connect|Failed to fetch|Connection (?:refused|reset|timed out)|"
    r"Read timed out|NewConnectionError|ReadTimeoutError|50[234] |Couldn't download|Hash Sum mismatch|"
    r"IncompleteRead|no longer has a Release file",
    re.IGNORECASE,
)


class UnavailableError(Exception):
    """Containers cannot run here, or what they are made of cannot be fetched; the message says why."""


def run(
    command: Sequence[str], *, environ: Mapping[str, str] | None = None, timeout: float = 600, given: str | None = None
) -> str:
    """Run a command; return what it printed. Where it failed for want of the network: :class:`UnavailableError`."""
    finished = subprocess.run(
        command,
        env={**os.environ, **(environ or {})},
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    if finished.returncode:
        tail = "\n".join(finished.stdout.splitlines()[-40:])
        if _NETWORK.search(finished.stdout):
            raise UnavailableError(f"{' '.join(command[:3])} could not fetch what it needs:\n{tail}")
        raise AssertionError(f"{' '.join(command)} failed ({finished.returncode}):\n{tail}")
    return finished.stdout


class Engine:
    """A running Docker engine and the two programs that speak to it."""

    def __init__(self) -> None:
        self.folder = FOLDER
        self.socket = self.folder / "docker.sock"
        self.environ = {
            "DOCKER_HOST": f"unix://{self.socket}",
            # Debian's client comes with the engine; another one that is installed may be too new for it.
            "PATH": f"/usr/bin:/usr/sbin:{os.environ['PATH']}",
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Install what is missing and start the engine.

        Raises
        ------
        UnavailableError
            It cannot be installed or does not start.
        """
        if os.geteuid() != 0:
            raise UnavailableError("an engine of its own takes root")
        _install()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._answers():
            self._stop_abandoned()
        command = ["dockerd", "--data-root", str(self.folder / "images"), "--exec-root", str(self.folder / "run")]
        command += ["--host", f"unix://{self.socket}", "--pidfile", str(self.folder / "docker.pid")]
        with (self.folder / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            wait_until(lambda: self._answers() or self._process.poll() is not None, "the Docker engine", 60)
        except AssertionError:
            self.stop()
        if not self._answers():
            tail = (self.folder / "dockerd.log").read_text(errors="replace").splitlines()[-5:]
            raise UnavailableError("the Docker engine does not start:\n" + "\n".join(tail))
        self.clear()

    def clear(self) -> None:
        """Remove what a run that was killed left: its volumes have other passwords than ours. Images stay."""
        if left := self.docker("ps", "-aq").split():
            self.docker("rm", "--force", "--volumes", *left)
        if left := self.docker("volume", "ls", "-q").split():
            self.docker("volume", "rm", "--force", *left)
        self.docker("network", "prune", "--force")

    def _stop_abandoned(self) -> None:
        """Stop the engine of a run that was killed: tests/containers/run.sh lets only one go on at a time."""
        process = int((self.folder / "docker.pid").read_text())
        os.kill(process, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{process}").exists(), "the end of an abandoned Docker engine", 60)

    def stop(self) -> None:
        """Stop the engine, if it was started here; its containers go with it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def docker(self, *arguments: str, timeout: float = 600, given: str | None = None) -> str:
        """Run ``docker``; return what it printed."""
        return run(["docker", *arguments], environ=self.environ, timeout=timeout, given=given)

    def try_docker(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run ``docker`` and return how it ended."""
        environ = {**os.environ, **self.environ}
        return subprocess.run(
            ["docker", *arguments], env=environ, capture_output=True, text=True, timeout=timeout, check=False
        )

    def _answers(self) -> bool:
        return self.socket.exists() and self.try_docker("info").returncode == 0


def _install() -> None:
    path = "/usr/sbin:/usr/bin:/sbin"
    missing = [package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise UnavailableError(f"not installed: {', '.join(missing)}")
    try:
        run(["apt-get", "update", "-qq"])
        run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
            environ={"DEBIAN_FRONTEND": "noninteractive"},
        )
    except (AssertionError, UnavailableError) as exc:
        raise UnavailableError(f"{', '.join(missing)} cannot be installed: {exc}") from exc


def wait_until(condition: Callable[[], object], what: str, seconds: float) -> None:
    """Poll until a condition holds; fail after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.5)
