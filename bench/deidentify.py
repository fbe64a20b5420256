"""The rules engine: CPU time for each file, against pydicom's bare reading and writing and against its peers.

``python bench/deidentify.py [--quick] [--json FILE] [--files N] [--no-peers]``

On CT images (bench/deidentify_corpus.py) rules shift all dates, randomise names and instance UIDs, delete the private
elements and empty 20 more; mappings are in PostgreSQL and every value is new. The peers run as whole processes over
the same folder, and so do we, with the leak check: bench/deidentify_peers.py.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pydicom

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.deidentify_corpus import ct_slice, large_image
from bench.deidentify_peers import PEERS, measure_processes
from bench.deidentify_rules import RULES, with_further_rules
from common.database import Database
from deidentifier.commands.migrate import migrate_ingest
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MappingStore, MemoryMappings, PostgresMappings
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES
from demo.servers.postgresql import start_postgresql


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
        measured = measure_in_process(database, files, 2 if arguments.quick else 8)
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
