"""Both Orthancs, PostgreSQL, and our processes between them: the pipeline alone, for tests and benchmarks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.orthanc import Orthanc
from deidentifier.commands.migrate import migrate_ingest
from demo.servers.orthanc import OrthancServer, start_orthanc
from demo.servers.postgresql import PostgreSQL, start_postgresql
from demo.servers.process import Server
from website.commands.migrate import migrate_research

ROOT = Path(__file__).parents[2]
DATABASE = "research_pacs"


class PipelineServers:
    """The servers, started; :meth:`start` adds processes of ours.

    Parameters
    ----------
    folder
        Of everything they write.
    environ
        Further variables of our processes.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None, *, durable: bool = True) -> None:
        self.folder = folder
        self.environ = dict(environ or {})
        self.postgresql: PostgreSQL = start_postgresql(folder / "postgresql", durable=durable)
        self.source: OrthancServer = start_orthanc(folder / "source", "source")
        self.research: OrthancServer = start_orthanc(folder / "research", "research")
        self.processes: dict[str, Server] = {}
        self.postgresql.execute(f"CREATE DATABASE {DATABASE}")
        owner = self.postgresql.database(DATABASE)
        migrate_ingest(owner, "rpacs_deidentifier", "rpacs_reidentify")
        migrate_research(owner, "rpacs_website")
        self.owner = owner

    def client(self, server: OrthancServer) -> Orthanc:
        """Return a client of one of the Orthancs."""
        return Orthanc(server.url, server.username, server.password)

    def start(self, name: str, *command: str, environ: Mapping[str, str] | None = None) -> Server:
        """Start a process of ours: ``start("work", "deidentifier", "work")``."""
        given = {**os.environ, **self.variables(command[0]), **self.environ, **(environ or {}), "PYTHONPATH": str(ROOT)}
        line: Sequence[str] = [sys.executable, "-m", *command]
        process = Server(name, line, log=self.folder / f"{name}.log", environ=given)
        self.processes[name] = process
        process.start(lambda: True)
        return process

    def variables(self, side: str) -> dict[str, str]:
        """Return the environment variables of one side's processes."""
        role = {"deidentifier": "rpacs_deidentifier", "website": "rpacs_website"}[side]
        peers = {"RPACS_SOURCE_ORTHANC": self.source, "RPACS_DESTINATION_ORTHANC": self.research}
        if side == "website":
            peers = {"RPACS_ORTHANC": self.research}
        values = {
            "RPACS_POSTGRESQL_HOSTNAME": self.postgresql.host,
            "RPACS_POSTGRESQL_PORT": str(self.postgresql.port),
            "RPACS_POSTGRESQL_DB_NAME": DATABASE,
            "RPACS_POSTGRESQL_USERNAME": role,
            "RPACS_POSTGRESQL_PASSWORD": role,
            "RPACS_LOG_RECORD_TIME": "yes",
        }
        if side == "website":
            values["RPACS_AUDIT_KEY"] = "a" * 32
        for prefix, server in peers.items():
            values |= {
                f"{prefix}_HOSTNAME": server.url,
                f"{prefix}_USERNAME": server.username,
                f"{prefix}_PASSWORD": server.password,
            }
        return values

    def stop(self) -> None:
        """Stop everything."""
        for process in self.processes.values():
            process.stop()
        self.owner.close()
        for server in (self.source, self.research, self.postgresql):
            server.stop()
