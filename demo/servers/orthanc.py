"""Debian's Orthanc, authentication on, on loopback ports.

The configuration is made by the program that configures the Orthanc image, so that demo and tests run what a
deployment runs.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from common.errors import ConfigurationError
from demo.servers.process import Server, free_port, require_free

_START = Path(__file__).parents[2] / "orthanc" / "start.py"


@dataclass
class OrthancServer:
    """A running Orthanc."""

    http_port: int
    dicom_port: int
    aet: str
    username: str
    password: str
    server: Server

    @property
    def url(self) -> str:
        """Base URL of its REST API."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def auth(self) -> tuple[str, str]:
        """Credentials as ``requests`` takes them."""
        return self.username, self.password

    def stop(self, *, kill: bool = False) -> None:
        """Stop it."""
        self.server.stop(kill=kill)

    def restart(self) -> None:
        """Start it again, after :meth:`stop`, on the same ports and data."""
        self.server.start(lambda: _answers(self))


def start_orthanc(
    folder: Path,
    role: str,
    *,
    http_port: int = 0,
    dicom_port: int = 0,
    password: str = "",
    options: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> OrthancServer:
    """Start the Orthanc of one role whose files and index lie in a folder.

    Parameters
    ----------
    role
        ``source`` or ``research``.
    options
        Configuration of Orthanc, merged over ours.
    environ
        Further variables of the Orthanc image (doc/environment-variables.md).

    Raises
    ------
    ConfigurationError
        Orthanc is not installed, a port is taken, or it does not start.
    """
    if shutil.which("Orthanc") is None:
        raise ConfigurationError(
            "Orthanc is not installed: run make setup-run (Debian's packages orthanc, orthanc-dicomweb)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    for port, name in ((http_port, "HTTP"), (dicom_port, "DICOM")):
        if port:
            require_free(port, f"the {role} Orthanc's {name}")
    running = OrthancServer(
        http_port or free_port(),
        dicom_port or free_port(),
        f"RPACS_{role.upper()}",
        "research-pacs",
        password or "p" + secrets.token_urlsafe(24),
        Server(f"{role} Orthanc", [], log=folder / "orthanc.log"),
    )
    running.server = Server(
        f"{role} Orthanc",
        [sys.executable, str(_START), "Orthanc"],
        log=folder / "orthanc.log",
        environ={
            "RPACS_ORTHANC_ROLE": role,
            "RPACS_ORTHANC_USERNAME": running.username,
            "RPACS_ORTHANC_PASSWORD": running.password,
            "RPACS_ORTHANC_AET": running.aet,
            "RPACS_ORTHANC_HTTP_PORT": str(running.http_port),
            "RPACS_ORTHANC_DICOM_PORT": str(running.dicom_port),
            "RPACS_ORTHANC_STORAGE_FOLDER": str(folder / "storage"),
            "RPACS_ORTHANC_CONFIGURATION": str(folder / "orthanc.json"),
            # Whoever sends from this machine may; the port is on the loopback interface.
            "RPACS_ORTHANC_ACCEPT_UNKNOWN_MODALITIES": "yes",
            "RPACS_ORTHANC_EXTRA_JSON": json.dumps({"SyncStorageArea": False, **(options or {})}),
            **(environ or {}),
        },
    )
    (folder / "storage").mkdir(exist_ok=True)
    running.server.start(lambda: _answers(running))
    return running


def _answers(running: OrthancServer) -> bool:
    try:
        return requests.get(f"{running.url}/system", auth=running.auth, timeout=2).ok
    except requests.RequestException:
        return False
