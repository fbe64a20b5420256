"""docker-compose.yml brought up as an administrator does, but for build arguments and free ports."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import requests

from demo.send import AE_TITLE
from demo.servers.process import free_port
from tests.containers.engine import Engine, run, wait_until
from tests.containers.images import DEBIAN, ORTHANC, POSTGRESQL, PROXY, S3

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"
RESEARCH_SIDE = ("portal", "workers", "research-orthanc", "s3")
INGEST_SIDE = ("source-orthanc", "follower", "deidentifier", "console")
EVERYTHING = ("postgresql", *RESEARCH_SIDE, *INGEST_SIDE)
ONE_SHOT = ("migrate-ingest", "migrate-research")


class Compose:
    """One project of docker-compose.yml.

    Parameters
    ----------
    folder
        Of its secrets, its configuration and its ``.env``.
    command
        ``docker-compose`` 1.29, or another program that takes the same arguments.
    """

    def __init__(self, engine: Engine, folder: Path, project: str, command: str = "docker-compose") -> None:
        self.engine, self.folder, self.project, self._command = engine, folder, project, command
        self.dicom_port, self.portal_port, self.console_port, self.https_port = (free_port() for _ in range(4))
        self.url = f"http://localhost:{self.portal_port}"
        self.environ = {"RPACS_SECRETS": str(folder / "secrets"), "RPACS_CONFIG": str(folder / "config")}
        self.write_env({})

    def write_env(self, more: Mapping[str, str]) -> None:
        """Write ``.env``: the example, ports, and the build arguments that stand for images of a registry."""
        changed = {
            "COMPOSE_PROJECT_NAME": self.project,
            "RPACS_VERSION": "test",
            "RPACS_DEBIAN_BASE": DEBIAN,
            "RPACS_ORTHANC_BASE": ORTHANC,
            "RPACS_POSTGRESQL_BASE": POSTGRESQL,
            "RPACS_S3_BASE": S3,
            "RPACS_PROXY_BASE": PROXY,
            "RPACS_BUILD_NETWORK": "host",
            # Debian has no S3 plugin for Orthanc.
            "RPACS_S3_DICOM_BUCKET_NAME": "",
            "RPACS_DICOM_ADDRESS": "127.0.0.1",
            "RPACS_DICOM_PORT": str(self.dicom_port),
            "RPACS_MODALITIES": f"TEST={AE_TITLE}@sender.example:104",
            "RPACS_PORTAL_PORT": str(self.portal_port),
            "RPACS_PUBLIC_URL": self.url,
            "RPACS_CONSOLE_PORT": str(self.console_port),
            "RPACS_CONSOLE_PUBLIC_URL": f"http://localhost:{self.console_port}",
            "RPACS_HTTPS_PORT": str(self.https_port),
            "RPACS_POSTGRESQL_SHARED_BUFFERS": "64MB",
            **self.environ,
            **more,
        }
        lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and line[0] != "#"]
        example = dict(line.split("=", 1) for line in lines)
        text = "".join(f"{name}={value}\n" for name, value in (example | changed).items())
        (self.folder / ".env").write_text(text)

    def make_secrets(self) -> None:
        """Run what ``make secrets`` runs."""
        run(["bash", str(ROOT / "containers" / "secrets.sh")], environ=self.environ)

    def __call__(self, *arguments: str, timeout: float = 600, given: str | None = None) -> str:
        """Run docker-compose; return what it printed."""
        environ = {**self.engine.environ, "COMPOSE_IGNORE_ORPHANS": "1"}
        return run([*self._line(), *arguments], environ=environ, timeout=timeout, given=given)

    def environment(self) -> dict[str, str]:
        """Return the variables with which scripts reach this project."""
        return {**self.engine.environ, **self.environ, "RPACS_COMPOSE": " ".join(self._line())}

    def _line(self) -> list[str]:
        return [*self._command.split(), "--project-directory", str(ROOT), "-f", str(ROOT / "docker-compose.yml"),
                "--env-file", str(self.folder / ".env")]  # fmt: skip

    def containers(self, service: str) -> list[str]:
        """Return the IDs of a service's containers, running or not."""
        filters = (f"label=com.docker.compose.project={self.project}", f"label=com.docker.compose.service={service}",
                   "label=com.docker.compose.oneoff=False")  # fmt: skip
        return self.engine.docker("ps", "-aq", *(f"--filter={one}" for one in filters)).split()

    def inspect(self, service: str) -> dict[str, object]:
        """Return what the engine knows of a service's first container."""
        inspected: list[dict[str, object]] = json.loads(self.engine.docker("inspect", self.containers(service)[0]))
        return inspected[0]

    def address(self, service: str, network: str) -> str:
        """Return the address of a service's first container in a network."""
        networks = self.inspect(service)["NetworkSettings"]["Networks"]  # type: ignore[index]
        return str(networks[f"{self.project}_{network}"]["IPAddress"])

    def exec(self, service: str, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's first container; return how it ended."""
        return self.engine.try_docker("exec", self.containers(service)[0], *command, timeout=timeout)

    def healthy(self, *services: str) -> bool:
        """Tell whether every container of some services runs and is healthy."""
        for service in services:
            found = self.containers(service)
            states = json.loads(self.engine.docker("inspect", *found)) if found else []
            if not states or any(one["State"].get("Health", {}).get("Status") != "healthy" for one in states):
                return False
        return True

    def up(self, *arguments: str, services: tuple[str, ...] = EVERYTHING, seconds: float = 240) -> None:
        """Start everything that the profiles name, and wait until some services are healthy."""
        try:
            self("up", "-d", "--no-build", *arguments, timeout=seconds)
            wait_until(lambda: self.healthy(*services), "healthy containers", seconds)
        except (AssertionError, subprocess.TimeoutExpired) as exc:
            ill = [service for service in services if not self.healthy(service)]
            logs = self("logs", "--no-color", "--tail", "20", *ill, *ONE_SHOT)
            raise AssertionError(f"{exc}: {', '.join(ill)} are not healthy\n{self('ps')}\n{logs}") from None

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self("--profile", "tls", "--profile", "tools", "down", "--volumes", "--timeout", "20")

    def sql(self, statement: str, database: str = "research_pacs") -> str:
        """Ask PostgreSQL as its superuser, from inside its container."""
        answer = self.exec("postgresql", "psql", "-XAtc", statement, database)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def add_account(self, name: str, groups: str) -> None:
        """Add a researcher as the manual says."""
        self("run", "--rm", "-T", "accounts", "add", name, "--groups", groups, given=PASSWORD + "\n")

    def log_in(self, name: str = "rita") -> requests.Session:
        """Return a session that is logged in at the portal."""
        session = requests.Session()
        page = session.get(f"{self.url}/login", timeout=30)
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
        assert token, page.text
        form = {"csrf_token": token[1], "name": name, "password": PASSWORD}
        answer = session.post(f"{self.url}/login", data=form, timeout=30)
        assert answer.ok, answer.text
        assert "/login" not in answer.url
        return session


def find(session: requests.Session, url: str, query: str = "") -> list[dict[str, object]]:
    """Return the instances that the portal finds: their patient and their UIDs."""
    asked = {"q": query, "level": "instance", "columns": "PatientID,SeriesInstanceUID,SOPInstanceUID"}
    answer = session.get(f"{url}/search.jsonl", params=asked, timeout=60)
    assert answer.ok, f"{answer.status_code} {answer.text[:500]}"
    return [json.loads(line) for line in answer.text.splitlines()]
