"""The peers of bench/deidentify.py: whole processes over one folder, and our own command beside them.

What the peers do is less or other work than ours: see PEERS.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from bench.deidentify_corpus import write_corpus
from bench.deidentify_rules import EMPTIED, RULES
from demo.servers.postgresql import PostgreSQL

FEW = 500
"""Files for the peers in Python: they take ten times as long and more, so that their start counts for nothing."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "research-pacs-bench"
PEERS = {
    "gdcmanon": "C++; removes private elements, replaces UIDs and empties 6 elements; no dates moved, nothing kept",
    "dcmodify": "C++; removes private elements, empties 26 elements at the top level; no UIDs, dates or nested items",
    "dicognito": "Python; names, IDs, UIDs, dates; private elements stay",
    "dicom-anonymizer": "Python; the basic profile: most is removed; nothing kept between runs",
    "deid": "Python; a recipe of the same elements, without moving dates",
}


def children_cpu(command: list[str], **options: object) -> float:
    """Run a command and return the CPU seconds of its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's own environment, made when it is missing."""
    home = CACHE / peer
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin/pip", "install", "-q", peer], check=True)
        (home / "ready").touch()
    return home / "bin"


def peer_commands(source: Path, output: Path) -> dict[str, list[str]]:
    """Return the commands of the peers that are installed or can be."""
    commands: dict[str, list[str]] = {}
    if shutil.which("gdcmanon"):
        tags = ("10,10", "10,20", "8,50", "8,80", "8,1030", "8,103e")
        options = [part for tag in tags for part in ("--empty", tag)]
        commands["gdcmanon"] = ["gdcmanon", "--dumb", *options, "-r", "-i", str(source), "-o", str(output)]
    if shutil.which("dcmodify"):
        options = [part for keyword in (*EMPTIED, "PatientName", "PatientID") for part in ("-ma", f"{keyword}=")]
        commands["dcmodify"] = [
            "dcmodify",
            "-nb",
            "-ep",
            *options,
            *(str(path) for path in sorted(output.glob("*.dcm"))),
        ]
    commands["dicognito"] = [
        str(python_of("dicognito") / "python"),
        "-m",
        "dicognito",
        "-q",
        "-o",
        str(output),
        str(source),
    ]
    commands["dicom-anonymizer"] = [str(python_of("dicom-anonymizer") / "dicom-anonymizer"), str(source), str(output)]
    commands["deid"] = [
        str(python_of("deid") / "deid"), "--outfolder", str(output), "--overwrite", "identifiers", "--action", "all",
        "--input", str(source),
    ]  # fmt: skip
    return commands


def our_environ(server: PostgreSQL | None) -> dict[str, str]:
    """Return the environment of our own command: with mappings in PostgreSQL, or in memory."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RPACS_")}
    if server is not None:
        environ |= {
            "RPACS_POSTGRESQL_HOSTNAME": server.host,
            "RPACS_POSTGRESQL_PORT": str(server.port),
            "RPACS_POSTGRESQL_DB_NAME": "bench",
            "RPACS_POSTGRESQL_USERNAME": server.superuser,
            "RPACS_POSTGRESQL_PASSWORD": server.password,
        }
    return environ


def run_ours(server: PostgreSQL | None, source: Path, folder: Path) -> float:
    """Run our command over a folder; returns its CPU seconds."""
    if server is not None:
        server.database("bench").call("TRUNCATE ingest.mappings; SELECT 1")
    command = [sys.executable, "-m", "deidentifier", "run", "--rules", str(folder / "rules.yaml")]
    command += ["--output", str(folder / "ours"), str(source)]
    try:
        return children_cpu(command, env=our_environ(server), cwd=Path(__file__).resolve().parent.parent)
    finally:
        shutil.rmtree(folder / "ours", ignore_errors=True)


def run_peer(peer: str, source: Path, folder: Path) -> float:
    """Run a peer over a folder; returns its CPU seconds."""
    output = folder / peer
    output.mkdir()
    if peer == "dcmodify":
        shutil.copytree(source, output, dirs_exist_ok=True)
    try:
        return children_cpu(peer_commands(source, output)[peer], cwd=folder)
    finally:
        shutil.rmtree(output, ignore_errors=True)


def measure_processes(server: PostgreSQL, count: int, folder: Path, rounds: int = 3) -> dict[str, float]:
    """Run ourselves and the peers over one folder, taking turns; CPU seconds for each file, the lowest of each.

    Mappings are kept in memory, as no peer keeps any; in PostgreSQL, every value new, is a line of its own.
    """
    source = folder / "source"
    paths = write_corpus(source, count)
    few = folder / "few"
    few.mkdir()
    for path in paths[:FEW]:
        os.link(path, few / path.name)
    (folder / "rules.yaml").write_text(RULES)
    found: dict[str, float] = {}

    def note(name: str, seconds: float, files: int) -> None:
        found[name] = min(found.get(name, seconds / files), seconds / files)

    for turn in range(rounds):
        note("ours", run_ours(None, source, folder), count)
        note("ours, mappings in PostgreSQL", run_ours(server, source, folder), count)
        for peer in PEERS:
            slow = peer not in ("gdcmanon", "dcmodify")
            if slow and turn:
                continue
            files = min(FEW, count) if slow else count
            try:
                note(peer, run_peer(peer, few if slow else source, folder), files)
            except (KeyError, OSError, subprocess.CalledProcessError) as exc:
                print(f"NOT MEASURED: {peer} ({type(exc).__name__}); is it installed?", file=sys.stderr)
    return found
