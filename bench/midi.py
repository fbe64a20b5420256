"""A scorer in the manner of the MIDI-B benchmark: ten action types, and what it does not test; beside it the peers.

``python bench/midi.py [--quick] [--no-peers] [--json FILE]``

At least 200 series with an answer key (bench/midi_files.py) are de-identified by the default rules, and by dicognito,
dicom-anonymizer and deid in environments of their own. Score = passed / (passed + failed). Peers are scored as they
come, without a configuration for these files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.deidentify_peers import peer_commands
from bench.goals import Benchmark, arguments
from bench.midi_files import Check, Made, make_collection, write
from common.errors import ResearchPacsError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES

ACTIONS = ("tag_retained", "text_notnull", "text_retained", "text_removed", "date_shifted", "uid_changed",
           "uid_consistent", "patid_consistent", "pixels_hidden", "pixels_retained")  # fmt: skip
EXTRA = ("date_offsets", "references_closed", "file_meta", "dciodvfy")
PEERS = ("dicognito", "dicom-anonymizer", "deid")
Results = dict[tuple[int, int], Path]


class Score:
    """Counts what passed and failed, by action."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, action: str, passed: bool, example: str) -> None:
        """Count one check; the first failure of each action is shown."""
        (self.passed if passed else self.failed)[action] += 1
        if not passed:
            self.examples.setdefault(action, example)

    def share(self, actions: tuple[str, ...]) -> float:
        """Return passed / (passed + failed)."""
        passed, failed = sum(self.passed[a] for a in actions), sum(self.failed[a] for a in actions)
        return passed / (passed + failed) if passed + failed else 0.0

    def cell(self, action: str) -> str:
        """Return the share of an action for a table."""
        total = self.passed[action] + self.failed[action]
        return f"{100 * self.passed[action] / total:.2f}" if total else "–"


def score(files: list[Made], sources: dict[tuple[int, int], Path], results: Results) -> Score:
    """Hold results to the answer key."""
    found, seen = Score(), _Seen()
    datasets = {key: pydicom.dcmread(path, force=True) for key, path in results.items()}
    for made in files:
        result = datasets.get(made.key)
        for check in made.checks:
            name = f"{made.dataset.Modality} {made.key} {check.path}"
            found.add(check.action, result is not None and _holds(check, made, result, seen), name)
    _score_extra(found, files, sources, results, datasets)
    return found


class _Seen:
    """What stands for an original UID or Patient ID, as first seen."""

    def __init__(self) -> None:
        self.new: dict[tuple[str, str], str] = {}
        self.old: dict[tuple[str, str], str] = {}

    def consistent(self, kind: str, old: str, new: str) -> bool:
        """Tell whether one always stands for the other, and for no other."""
        return self.new.setdefault((kind, old), new) == new and self.old.setdefault((kind, new), old) == old


def _value(dataset: Dataset, path: str) -> Any:
    current: Any = dataset
    for part in path.split("."):
        if isinstance(current, pydicom.sequence.Sequence):
            current = current[0] if len(current) else None
        if current is None:
            return None
        tag: Any = int(part, 16) if part.isdigit() else part
        current = current[tag].value if tag in current else None
    return current


def _holds(check: Check, made: Made, result: Dataset, seen: _Seen) -> bool:
    if check.action.startswith("pixels"):
        return _pixels_hold(check, made, result)
    value = _value(result, check.path)
    text = "" if value is None else str(value)
    if check.action == "tag_retained":
        return value is not None and text == str(check.value)
    if check.action == "text_notnull":
        return bool(text)
    if check.action == "text_retained":
        return all(word in text for word in str(check.value).split())
    if check.action == "text_removed":
        return str(check.value).lower() not in text.lower()
    if check.action == "date_shifted":
        return text[:8].isdigit() and len(text) == len(check.value) and text[:8] != check.value[:8]
    if check.action == "uid_changed":
        return bool(text) and text != check.value
    kind = "UID" if check.action == "uid_consistent" else "patient"
    return bool(text) and seen.consistent(kind, str(check.value), text)


def _pixels_hold(check: Check, made: Made, result: Dataset) -> bool:
    if "PixelData" not in result:
        return False
    shape = (int(result.Rows), int(result.Columns))
    kind = np.uint8 if made.dataset.BitsAllocated == 8 else np.uint16
    before = np.frombuffer(made.dataset.PixelData, kind).reshape(shape)
    after = np.frombuffer(result.PixelData, kind).reshape(shape)
    if made.box is None:
        return bool((before == after).all())
    left, top, right, bottom = made.box
    if check.action == "pixels_hidden":
        return bool((after[top:bottom, left:right] < 128).all())
    # The lower half of the image shows no text.
    return bool((before[shape[0] // 2 :] == after[shape[0] // 2 :]).all())


def _score_extra(
    found: Score, files: list[Made], sources: Results, results: Results, datasets: dict[tuple[int, int], Dataset]
) -> None:
    offsets: dict[int, set[int]] = defaultdict(set)
    present = {str(dataset.get("SOPInstanceUID", "")) for dataset in datasets.values()}
    checked: set[str] = set()
    for made in files:
        result, name = datasets.get(made.key), f"{made.dataset.Modality} {made.key}"
        if result is None:
            continue
        for check in made.checks:
            if check.action == "date_shifted" and (moved := _days(check, result)) is not None:
                offsets[made.patient].add(moved)
        references = [str(each.value) for each in result.iterall() if each.keyword == "ReferencedSOPInstanceUID"]
        found.add("references_closed", all(uid in present for uid in references), name)
        meta = getattr(result, "file_meta", {})
        uids = (meta.get("MediaStorageSOPInstanceUID"), meta.get("MediaStorageSOPClassUID"))
        found.add("file_meta", uids == (result.get("SOPInstanceUID"), result.get("SOPClassUID")), name)
        if made.dataset.Modality not in checked and shutil.which("dciodvfy"):
            checked.add(str(made.dataset.Modality))
            new = _errors(results[made.key]) - _errors(sources[made.key])
            found.add("dciodvfy", not new, f"{name}: {sorted(new)[:3]}")
    for patient, days in offsets.items():
        found.add("date_offsets", len(days) == 1, f"patient {patient}: {sorted(days)}")


def _days(check: Check, result: Dataset) -> int | None:
    text = str(_value(result, check.path) or "")
    try:
        return (pydicom.valuerep.DA(text[:8]) - pydicom.valuerep.DA(str(check.value)[:8])).days  # type: ignore[operator]
    except (ValueError, TypeError):
        return None


def _errors(path: Path) -> set[str]:
    """Return dciodvfy's errors, without the values that they quote."""
    output = subprocess.run(
        ["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False
    ).stderr
    lines = (line for line in output.splitlines() if line.startswith("Error"))
    return {
        line.split("<")[1].split(">")[0] + line.rsplit(" - ", 1)[-1][:60] if "<" in line else line for line in lines
    }


def deidentify(sources: Results, folder: Path) -> Results:
    """Run ourselves with the default rules."""
    engine = Deidentifier(load_rules(DEFAULT_RULES.read_bytes()), MemoryMappings())
    results: Results = {}
    for key, path in sources.items():
        try:
            data = engine.deidentify(path.read_bytes()).data
        except ResearchPacsError as exc:
            print(f"{key}: {exc}")
            continue
        results[key] = folder / path.name
        results[key].write_bytes(data)
    return results


def run_peer(peer: str, source: Path, folder: Path) -> Results:
    """Run a peer over the files; what it wrote is known by series and instance number."""
    output = folder / peer
    output.mkdir()
    try:
        subprocess.run(peer_commands(source, output)[peer], cwd=folder, capture_output=True, timeout=400, check=False)
    except (OSError, KeyError, subprocess.TimeoutExpired) as exc:
        print(f"{peer}: not measured ({type(exc).__name__})")
    return dict(_keyed(output))


def _keyed(folder: Path) -> Iterator[tuple[tuple[int, int], Path]]:
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            yield (int(dataset.SeriesNumber), int(dataset.InstanceNumber)), path
        except (AttributeError, TypeError, ValueError, pydicom.errors.InvalidDicomError):
            continue


def main() -> int:
    """Make the collection, run everybody, score, compare."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--no-peers", action="store_true")
    given = parser.parse_args()
    config.settings.reading_validation_mode = config.IGNORE
    benchmark = Benchmark("MIDI-B-like score")
    folder = Path(tempfile.mkdtemp(prefix="bench-midi-"))
    try:
        source, ours = folder / "source", folder / "ours"
        source.mkdir()
        ours.mkdir()
        files = list(make_collection(30 if given.quick else 210, 2 if given.quick else 8))
        sources = {made.key: write(made, source) for made in files}
        scores = {"research-pacs": score(files, sources, deidentify(sources, ours))}
        if not (given.quick or given.no_peers):
            for peer in PEERS:
                scores[peer] = score(files, sources, run_peer(peer, source, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [(action, *(each.cell(action) for each in scores.values())) for action in (*ACTIONS, *EXTRA)]
    rows.append(("all ten", *(f"{100 * each.share(ACTIONS):.3f}" for each in scores.values())))
    benchmark.table("Passed, in per cent", ("action", *scores), rows)
    mine = scores["research-pacs"]
    for action, example in mine.examples.items():
        print(f"first failure of {action}: {example}")
    benchmark.goal("series", len({made.key[0] for made in files}), ">=", 30 if given.quick else 200)
    benchmark.goal("midi_score", mine.share(ACTIONS), ">=", 0.9995)
    benchmark.goal("extra_score", mine.share(EXTRA), ">=", 1.0)
    return benchmark.finish(given.json)


if __name__ == "__main__":
    sys.exit(main())
