"""The default rules against marked identifiers: what survives, and what of research is lost.

``python bench/leak_probe.py [--quick] [--json FILE]``

Files of twelve IODs (bench/leak_probe_files.py), each in explicit and implicit VR, one also in RLE, hold a unique mark
in every place that identifiers are known to hide in. The result's bytes are searched for each mark: plain, in UTF-16
and in base64.
Beside them an encapsulated PDF and an instance of a private SOP class must go to quarantine.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from bench.leak_probe_files import build_probe
from bench.leak_probe_iods import IODS, STORAGE
from bench.leak_probe_marks import Probe
from common.errors import QuarantineError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES

_MIN_PLACES = 150


def survivors(probe: Probe, result: bytes) -> list[str]:
    """Return the places whose mark is still in the bytes; dates by their own element."""
    found = pydicom.dcmread(io.BytesIO(result))
    return [place for place, mark in probe.marks.items() if _survives(place, mark, result, found)]


def _survives(place: str, mark: bytes, result: bytes, found: pydicom.Dataset) -> bool:
    if mark.isdigit():  # a date: another element's may have become it
        keyword = place.rpartition(".")[2]
        values = [str(element.value) for element in found.iterall() if element.keyword == keyword]
        return any(value.startswith(mark.decode()) for value in values)
    text = mark.decode()
    forms = (mark, text.encode("utf-16-le"), text.encode("utf-16-be"), base64.b64encode(mark)[:-4])
    return any(form in result for form in forms) or mark.lower() in result.lower()


def lost(probe: Probe, result: bytes) -> list[str]:
    """Return the values that research needs and that are gone."""
    found = pydicom.dcmread(io.BytesIO(result))
    return [path for path, value in probe.kept.items() if _value(found, path) != value]


def _value(dataset: pydicom.Dataset, path: str) -> str | None:
    if path == "private b value":
        block = dataset.private_block(0x0019, "SIEMENS MR HEADER")
        return str(block[0x0C].value)
    if path == "70531000":
        return str(dataset.private_block(0x7053, "Philips PET Private Group")[0x00].value)
    current: Any = dataset
    for part in path.split("."):
        current = current[int(part)] if part.isdigit() else current.get(part)
        if current is None:
            return None
    return str(current)


def quarantined(engine: Deidentifier) -> Iterator[str]:
    """Yield what is let through though nobody can tell what it holds."""
    for name, sop_class in (("encapsulated PDF", f"{STORAGE}104.1"), ("private SOP class", "1.3.12.2.1107.5.9.1")):
        probe = build_probe("SC")
        probe.dataset.SOPClassUID = sop_class
        buffer = io.BytesIO()
        probe.dataset.file_meta.MediaStorageSOPClassUID = sop_class
        probe.dataset.save_as(buffer, enforce_file_format=True)
        try:
            engine.deidentify(buffer.getvalue())
            yield name
        except QuarantineError:
            continue


def main() -> int:
    """Probe, print, compare."""
    given = arguments(__doc__ or "").parse_args()
    benchmark = Benchmark("Leak probe")
    engine = Deidentifier(load_rules(DEFAULT_RULES.read_bytes()), MemoryMappings())
    rows, leaked, gone, fewest, held = [], [], [], 10_000, []
    for name in IODS:
        for implicit in (False,) if given.quick else (False, True):
            probe = build_probe(name, implicit=implicit)
            fewest = min(fewest, len(probe.marks))
            try:
                result = engine.deidentify(probe.data).data
            except QuarantineError as exc:
                held.append(f"{name}: {exc}")
                continue
            left, missing = survivors(probe, result), lost(probe, result)
            leaked += [f"{name}: {place}" for place in left]
            gone += [f"{name}: {path}" for path in missing]
            rows.append((f"{name}{' implicit' if implicit else ''}", len(probe.marks), len(left), len(missing)))
    benchmark.table("Places", ("IOD", "marked", "survive", "values lost"), rows)
    through = list(quarantined(engine))
    for line in [*leaked, *gone, *held, *through]:
        print(line)
    benchmark.goal("places_per_file", fewest, ">=", _MIN_PLACES)
    benchmark.goal("survivors", len(leaked), "==", 0)
    benchmark.goal("research_values_lost", len(gone), "==", 0)
    benchmark.goal("images_held_back", len(held), "==", 0)
    benchmark.goal("unknown_let_through", len(through), "==", 0)
    return benchmark.finish(given.json)


if __name__ == "__main__":
    sys.exit(main())
