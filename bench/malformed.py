"""Damaged files, de-identified with every rule: samples truncated at every 97th byte or flipped, and tiny elements.

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
from itertools import chain
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


def cases(files: list[bytes], randomness: random.Random, limit: int) -> Iterator[bytes]:
    """Yield damaged files, in an order that mixes the samples."""
    damaged = []
    for number, data in enumerate(files):
        step = STEP if len(data) < 20_000 else STEP * 11
        damaged += [(number, length, -1) for length in range(0, len(data), step)]
        damaged += [(number, len(data), flip) for flip in range(FLIPS)]
    randomness.shuffle(damaged)
    for number, length, flip in damaged[:limit]:
        broken = bytearray(files[number][:length])
        for _ in range(randomness.randint(1, 8) if flip >= 0 else 0):
            broken[randomness.randrange(min(length, 8_000))] ^= 1 << randomness.randrange(8)
        yield bytes(broken)


def tiny_elements(number: int) -> Iterator[bytes]:
    """Yield files of nothing but tiny elements, which take more memory scanned than they are long."""
    start = bytes(128) + b"DICM\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0" + b"\x08\0\x18\0UI\x06\x001.2.3\0"
    yield start + b"\x08\0\x20\0DA\0\0" * number
    yield start + b"\x08\0\x20\0DA\x08\x0020240101" * number
    yield start + b"\x09\0\x10\0LO\x02\0ab" + b"\x09\0\x01\x10DA\0\0" * number
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * (number // 2)
    yield start + b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff" + items + b"\xfe\xff\xdd\xe0\0\0\0\0"


def judge(deidentifier: Deidentifier, data: bytes) -> str:
    """De-identify one case; returns how it ended."""
    try:
        outcome = deidentifier.deidentify(data)
        # Judging takes no memory of what is judged.
        state, result = outcome.state, outcome.data
        del outcome
        scan(result)
    except PermanentError as exc:
        return exc.code
    except Exception as exc:  # noqa: BLE001  what a benchmark of errors is looking for
        return f"untyped {type(exc).__name__}"
    return state


def main() -> int:
    """Measure; print the table and the goals."""
    given = arguments(__doc__ or "").parse_args()
    warnings.simplefilter("ignore")
    wanted = 2_000 if given.quick else 10_000
    files = [Path(name).read_bytes() for name in sorted(get_testdata_files("*.dcm"))]
    files = [data for data in files if len(data) <= LARGEST]
    deidentifier = Deidentifier(load_rules(RULES), MemoryMappings(), max_inflated=50_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends: Counter[str] = Counter()
    slowest = 0.0
    crowded = (data for number in (99_000, 1_000_000) for data in tiny_elements(number))
    for data in chain(cases(files, random.Random(1), wanted if given.quick else 13_000), crowded):
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
