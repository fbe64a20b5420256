"""Damaged files: every sample truncated at every 97th byte and flipped at random, de-identified with every rule.

Run ``python bench/malformed.py [--quick] [--json FILE]``. A case is right when it ends in a typed permanent error or in
a file that can be scanned again.
"""

from __future__ import annotations

import random
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pydicom.data import get_testdata_files

from bench.goals import Benchmark, arguments
from common.dicom_scan import scan
from common.errors import PermanentError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules

RULES = """
Labels: []
ScopeToForward: {Labels: ALL}
Transformations:
- Scope: {Labels: ALL}
  ShiftDateTime: [{TagPatterns: ["*/{DA}", "*/{DT}", "*/{TM}"], ShiftBy: 100000, ReuseMapping: SameStudy}]
  RandomizeText: [{TagPatterns: ["*/{PN}", "*/{LO}", "*/{SH}", "*/{IS}", "*/{DS}", "*/XXX@XXXX"]}]
  RandomizeUID: [{TagPatterns: "*/{UI}"}]
  AddTags: [{Tag: PatientComments, VR: LT, Value: added, OverwriteIfExists: true}]
  DeleteTags: [{TagPatterns: ["*/{ST}", "*/{UN}"], Action: Empty}]
"""
STEP = 97
LARGEST = 300_000
FLIPS = 40


def cases(randomness: random.Random, limit: int) -> Iterator[bytes]:
    """Yield damaged files, in an order that mixes the samples."""
    files = [Path(name).read_bytes() for name in sorted(get_testdata_files("*.dcm"))]
    damaged = []
    for number, data in enumerate(files):
        if len(data) <= LARGEST:
            step = STEP if len(data) < 20_000 else STEP * 11
            damaged += [(number, length, -1) for length in range(0, len(data), step)]
            damaged += [(number, len(data), flip) for flip in range(FLIPS)]
    randomness.shuffle(damaged)
    for number, length, flip in damaged[:limit]:
        broken = bytearray(files[number][:length])
        for _ in range(randomness.randint(1, 8) if flip >= 0 else 0):
            broken[randomness.randrange(min(length, 8_000))] ^= 1 << randomness.randrange(8)
        yield bytes(broken)


def judge(deidentifier: Deidentifier, data: bytes) -> str:
    """De-identify one case; returns how it ended."""
    try:
        outcome = deidentifier.deidentify(data)
        scan(outcome.data)
    except PermanentError as exc:
        return exc.code
    except Exception as exc:  # noqa: BLE001  what a benchmark of errors is looking for
        return f"untyped {type(exc).__name__}"
    return outcome.state


def main() -> int:
    """Measure; print the table and the goals."""
    given = arguments(__doc__ or "").parse_args()
    warnings.simplefilter("ignore")
    wanted = 2_000 if given.quick else 10_000
    deidentifier = Deidentifier(load_rules(RULES), MemoryMappings(), max_inflated=50_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends: Counter[str] = Counter()
    slowest = 0.0
    for data in cases(random.Random(1), wanted if given.quick else 13_000):
        started = time.process_time()
        ends[judge(deidentifier, data)] += 1
        slowest = max(slowest, time.process_time() - started)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    untyped = sum(count for end, count in ends.items() if end.startswith("untyped"))
    bench = Benchmark("Damaged files")
    bench.table("How they ended", ["end", "cases"], ends.most_common())
    bench.goal("cases", ends.total(), ">=", wanted)
    bench.goal("untyped_errors", untyped, "==", 0)
    bench.goal("slowest_case_cpu_seconds", slowest, "<=", 5)
    bench.goal("memory_growth_mb", grown, "<=", 100)
    return bench.finish(given.json)


if __name__ == "__main__":
    sys.exit(main())
