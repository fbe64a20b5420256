"""The rules engine: CPU time for each file, against pydicom's bare reading and writing and against its peers.

``python bench/deidentify.py [--quick] [--json FILE] [--files N] [--no-peers]``

On CT images (bench/deidentify_corpus.py) rules shift all dates, randomise names and instance UIDs, delete the private
elements and empty 20 more; mappings are in PostgreSQL and every value is new. The peers run as whole processes over
the same folder, and so do we, with the leak check. What they do is less or other work: see PEERS.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import pydicom

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.deidentify_corpus import ct_slice, large_image, write_corpus
from common.database import Database
from deidentifier.commands.migrate import migrate_ingest
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MappingStore, MemoryMappings, PostgresMappings
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES
from demo.servers.postgresql import PostgreSQL, start_postgresql

EMPTIED = (
    "AccessionNumber", "InstitutionName", "InstitutionAddress", "StationName", "StudyDescription", "SeriesDescription",
    "InstitutionalDepartmentName", "PatientComments", "EthnicGroup", "DeviceSerialNumber", "ProtocolName", "StudyID",
    "ImageComments", "RequestedProcedureDescription", "PerformedProcedureStepID", "CurrentPatientLocation",
    "PerformedProcedureStepDescription", "AdmissionID", "CountryOfResidence", "RequestedProcedureID",
)  # fmt: skip
RULES = f"""
Labels: []
ScopeToForward: {{Labels: ALL}}
Transformations:
  - Scope: {{Labels: ALL}}
    ShiftDateTime:
      - {{TagPatterns: ["*/{{DA}}", "*/{{TM}}", "*/{{DT}}"], ShiftBy: 365, ReuseMapping: SamePatient}}
    RandomizeText:
      - {{TagPatterns: ["*/{{PN}}", "*/PatientID"], ReuseMapping: Always}}
    RandomizeUID:
      - {{TagPatterns: ["*/*InstanceUID", "*/FrameOfReferenceUID"]}}
    DeleteTags:
      - {{TagPatterns: "*/XXX@XXXX", Action: Remove}}
      - {{TagPatterns: [{", ".join(f'"*/{keyword}"' for keyword in EMPTIED)}], Action: Empty}}
"""
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


def with_further_rules(number: int) -> str:
    """Return the rules with some more that match nothing."""
    more = "".join(
        f'      - {{TagPatterns: "+/0041{n:02X}XX.00{n % 90 + 10}9999", Action: Remove}}\n' for n in range(number)
    )
    return RULES + more


def cpu(work: Callable[[bytes], object], files: list[bytes]) -> float:
    """Return the CPU seconds that work takes on each file."""
    gc.collect()
    start = time.process_time()
    for data in files:
        work(data)
    return (time.process_time() - start) / len(files)


def round_trip(data: bytes) -> None:
    """Read and write a file with pydicom, nothing else."""
    pydicom.dcmread(io.BytesIO(data)).save_as(io.BytesIO())


class Counted:
    """A store that counts the calls."""

    def __init__(self, store: MappingStore) -> None:
        self.store, self.calls, self.secret = store, 0, store.secret

    def fetch_or_create(self, wanted):
        self.calls += 1
        return self.store.fetch_or_create(wanted)


def ours(database: Database, rules: str = RULES, *, checks_leaks: bool = False) -> tuple[Deidentifier, Counted]:
    """Return the engine, warm but for values: no mapping is known. The leak check is measured apart."""
    database.call("TRUNCATE ingest.mappings; SELECT 1")
    store = Counted(PostgresMappings(database))
    engine = Deidentifier(load_rules(rules), store, checks_leaks=checks_leaks)
    engine.deidentify(ct_slice(1_000_000, 2))
    store.calls = 0
    return engine, store


def measure_in_process(database: Database, files: list[bytes], rounds: int) -> dict[str, float]:
    """Measure the engine against the round trip, taking turns; the lowest of each counts."""
    best: dict[str, float] = {}

    def note(name: str, value: float) -> None:
        best[name] = min(best.get(name, value), value)

    for _ in range(rounds):
        note("round trip", cpu(round_trip, files))
        engine, store = ours(database)
        note("ours", cpu(lambda data, engine=engine: engine.deidentify(data).data, files))
        best["calls"] = store.calls / len(files)
        more, _ = ours(database, with_further_rules(200))
        note("200 further rules", cpu(lambda data, engine=more: engine.deidentify(data).data, files))
        checking, _ = ours(database, checks_leaks=True)
        note("with the leak check", cpu(lambda data, engine=checking: engine.deidentify(data).data, files))
        default, _ = ours(database, DEFAULT_RULES.read_text(), checks_leaks=True)
        note("default rules", cpu(lambda data, engine=default: engine.deidentify(data).data, files))
    for kind in ("frames", "radiograph"):
        data = [large_image(kind)] * 3
        engine = Deidentifier(load_rules(RULES), MemoryMappings(), checks_leaks=False)
        engine.deidentify(data[0])
        for _ in range(rounds):
            note(f"{kind} round trip", cpu(round_trip, data))
            note(f"{kind} ours", cpu(lambda each, engine=engine: engine.deidentify(each).data, data))
    return best


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


def report(goals: list[tuple[str, float, str, bool]], measured: dict[str, float], target: str | None) -> int:
    """Print the table and the goals; returns the exit code."""
    for name, value in measured.items():
        print(f"{name:30} {value * 1000:9.3f} ms CPU" if name != "calls" else f"{name:30} {value:9.2f} per file")
        peer = name.removeprefix("process ")
        if peer in PEERS:
            print(f"    {PEERS[peer]}")
    for name, value, wanted, met in goals:
        print(f"goal {name}: {value:.3f} (wanted {wanted}) {'ok' if met else 'short'}")
    if target:
        Path(target).write_text(json.dumps({"measured": measured, "goals": {name: value for name, value, *_ in goals}}))
    return 0 if all(met for *_, met in goals) else 1


def goals_of(measured: dict[str, float], quick: bool) -> list[tuple[str, float, str, bool]]:
    """Compare what was measured with what is wanted; a quick run is shorter, so it may vary more."""
    slack = 1.2 if quick else 1.0
    ratio = measured["ours"] / measured["round trip"]
    more = measured["200 further rules"] / measured["ours"]
    checked = measured["with the leak check"] / measured["ours"]
    goals = [
        ("cpu_vs_pydicom_roundtrip", ratio, f"<= {0.25 * slack:.2f}", ratio <= 0.25 * slack),
        ("further_rules", more, f"<= {1.1 * slack:.2f}", more <= 1.1 * slack),
        ("leak_check_cpu", checked, f"<= {1.3 * slack:.2f}", checked <= 1.3 * slack),
        ("round_trips_per_instance", measured["calls"], "<= 1", measured["calls"] <= 1),
    ]
    for kind in ("frames", "radiograph"):
        speed = measured[f"{kind} round trip"] / measured[f"{kind} ours"]
        goals.append((f"{kind}_speed_vs_pydicom", speed, ">= 2", speed >= 2))
    peers = {name.removeprefix("process "): value for name, value in measured.items() if name.startswith("process ")}
    if len(peers) > 1:
        measured_peers = [value for name, value in peers.items() if name in PEERS]
        best = min(measured_peers) / peers["ours"]
        goals.append(("peers_measured", len(measured_peers), f"== {len(PEERS)}", len(measured_peers) == len(PEERS)))
        goals.append(("vs_best_peer", best, "> 1", best > 1))
    return goals


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less data, no peers")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--files", type=int, default=4000, help="files of the folder that whole processes work on")
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-deidentify-"))
    server = start_postgresql(folder / "postgresql", durable=False)
    try:
        server.execute("CREATE DATABASE bench")
        database = server.database("bench")
        server.execute("CREATE ROLE rpacs_website")  # the view of the state is granted to the portal
        migrate_ingest(database)
        files = [ct_slice(number) for number in range(100 if arguments.quick else 300)]
        measured = measure_in_process(database, files, 2 if arguments.quick else 4)
        if not (arguments.quick or arguments.no_peers):
            processes = measure_processes(server, arguments.files, folder)
            measured |= {f"process {name}": value for name, value in processes.items()}
        database.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return report(goals_of(measured, arguments.quick), measured, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
