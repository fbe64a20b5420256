"""Burned-in text: how much of it is found, how much else is blackened, what it costs.

``python bench/burned_in.py [--quick] [--json FILE] [--seed N] [--images N] [--results FILE [--minutes N]]``

On generated images (bench/burned_in_images.py) the product finds and blackens text with its local engine. Another
reader, Debian's Tesseract, is then given each string's own rectangle, upright and enlarged, before and after: what it
read before it must not read after. Strings that it never reads are reported apart, by how much of their rectangle is
black. A run of which the results go to a file can be interrupted, or last some minutes only; the next one goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import data_store
import numpy as np
import pydicom.data
import yaml
from PIL import Image
from pydicom.dataset import Dataset
from rapidfuzz.fuzz import ratio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.burned_in_cost import compressed_memory, masking_cost
from bench.burned_in_images import Sample, Text, sample
from common.dicom_scan import scan
from common.errors import InvalidDicomError, QuarantineError
from common.query import any_of, match, parse
from deidentifier.pixels.clean import Cleaned, Request, clean
from deidentifier.pixels.finder import Finder
from deidentifier.pixels.image import describe
from deidentifier.pixels.local import LocalFinder
from deidentifier.pixels.pictures import pictures, stored_frames

_ENLARGED = 44  # height in pixels of a line that the other reader is given
_READ_BEFORE = 80.0  # how alike the string and what was read are, of 100
_READ_AFTER = 60.0
_ULTRASOUND = 0.03  # of the instances of a hospital; the others are CT, MR and CR


@dataclass
class Result:
    """What came of one image."""

    kind: str
    form: str
    size: str
    frames: int
    seconds: float
    quarantined: bool
    false_positive: float | None
    strings: list[dict[str, Any]]


def process(number: int, seed: int) -> Result:
    """Clean one image and have the other reader compare."""
    made = sample(number, seed)
    started = time.process_time()
    try:
        cleaned = run(made)
    except QuarantineError:
        cleaned = None
    seconds = time.process_time() - started
    dataset = made.dataset
    size = f"{dataset.Columns}x{dataset.Rows}"
    result = Result(made.kind, made.form, size, dataset.NumberOfFrames, seconds, cleaned is None, None, [])
    if cleaned is None:
        return result
    black = np.zeros((dataset.NumberOfFrames, dataset.Rows, dataset.Columns), bool)
    for frame, boxes in zip(black, cleaned.boxes, strict=True):
        for box in boxes:
            frame[box.top : box.bottom, box.left : box.right] = True
    if not made.texts:
        result.false_positive = float(black.mean())
    before, after = shown(dataset, None), shown(dataset, cleaned)
    for text in made.texts:
        for number in {text.frames[0], text.frames[-1]}:
            covered = float(black[number, text.box.top : text.box.bottom, text.box.left : text.box.right].mean())
            was, now = (reads(images[number], text) for images in (before, after))
            result.strings.append(
                {"size": text.size, "contrast": text.contrast, "rotation": text.rotation, "covered": covered}
                | {"before": was >= _READ_BEFORE, "after": now >= _READ_AFTER, "kind": made.kind, "text": text.text}
            )
    return result


def run(made: Sample) -> Cleaned:
    """Clean the image as the de-identifier does."""
    dataset, finder = made.dataset, LocalFinder()

    def only(_name: str | None) -> Finder:
        return finder

    syntax, element = dataset.file_meta.TransferSyntaxUID, dataset["PixelData"]
    return clean(dataset, syntax, element.value, [Request(find=True)], finder=only, vr=element.VR)


def shown(dataset: Dataset, cleaned: Cleaned | None) -> list[np.ndarray]:
    """Return the frames as pictures, before or after cleaning."""
    header, syntax, value = Dataset(), dataset.file_meta.TransferSyntaxUID, dataset.PixelData
    header.update(dataset)
    vr = dataset["PixelData"].VR
    if cleaned is not None and cleaned.pixel_data is not None:
        header.update(cleaned.changes)
        syntax, value = cleaned.transfer_syntax, cleaned.pixel_data
    image = describe(header, syntax, vr=vr)
    return [pictures(header, image, samples)[0] for samples in stored_frames(header, image, value)]


def reads(picture: np.ndarray, text: Text) -> float:
    """Return how alike the string is and what the other reader reads in its rectangle, 0 to 100."""
    box = text.box.padded(6).clipped(picture.shape[1], picture.shape[0])
    part = np.rot90(picture[box.top : box.bottom, box.left : box.right], -(text.rotation // 90))
    line = Image.fromarray(np.ascontiguousarray(part)).convert("L")
    factor = max(1.0, _ENLARGED / line.height)
    line = line.resize((round(line.width * factor), round(line.height * factor)), Image.Resampling.BICUBIC)
    buffer = BytesIO()
    line.save(buffer, "PNG")
    command = ["tesseract", "-", "-", "--psm", "7", "-l", "eng", "--dpi", "150"]
    done = subprocess.run(
        command, input=buffer.getvalue(), capture_output=True, check=True, env={**os.environ, "OMP_THREAD_LIMIT": "1"}
    )
    return float(ratio(_plain(text.text), _plain(done.stdout.decode("utf-8", "replace"))))


def _plain(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.casefold())


def looked_at() -> dict[str, list[int]]:
    """For each modality of the sample files with pixels: how many there are, and how many the default labels read."""
    labels = yaml.safe_load((resources.files("deidentifier.pixels") / "labels.yaml").read_text())["Labels"]
    query = any_of([parse(label["DICOMQueryFilter"]) for label in labels])
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    roots = [Path(pydicom.data.__file__).parent / "test_files", Path(data_store.__file__).parent / "data"]
    for path in (path for root in roots for path in sorted(root.rglob("*")) if path.is_file()):
        try:
            data = scan(path.read_bytes())
        except InvalidDicomError:
            continue
        modality = data.text(0x00080060)
        if data.pixel_data is not None and modality in ("CT", "MR", "CR", "US"):
            counts[modality][0] += 1
            counts[modality][1] += match(query, data)
    return dict(counts)


def mixed_share(counts: dict[str, list[int]]) -> float:
    """Return the share that is read of a corpus of 3 % ultrasound and 97 % CT, MR and CR (too few files for each)."""
    others = [counts[name] for name in ("CT", "MR", "CR")]
    rate = sum(read for _, read in others) / sum(seen for seen, _ in others)
    return _ULTRASOUND * counts["US"][1] / counts["US"][0] + (1 - _ULTRASOUND) * rate


def main() -> int:
    """Run, print, and return 1 when a goal falls short."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less data, under 50 seconds")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, help="keep the results of the images there, and go on with them")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long, for --results")
    arguments = parser.parse_args()
    count = arguments.images or (15 if arguments.quick else 600)
    results = run_all(range(count), arguments)
    if len(results) < count:
        print(f"{len(results)} of {count} images are done; the same command goes on")
        return 2
    measured = {"cost": masking_cost(), "compressed_memory": compressed_memory(), "looked_at": looked_at()}
    figures = summary(results) | measured
    report(results, figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))
    return goals(figures, quick=arguments.quick)


def run_all(numbers: range, arguments: argparse.Namespace) -> list[Result]:
    """Process the images of which there are no results yet, until the time is over; return all results."""
    done = _kept(arguments.results, arguments.seed)
    end = time.monotonic() + 60 * arguments.minutes
    with ProcessPoolExecutor(arguments.processes) as pool:
        waiting = {pool.submit(process, number, arguments.seed): number for number in numbers if number not in done}
        try:
            for future in as_completed(waiting, timeout=max(0.0, end - time.monotonic())):
                done[waiting[future]] = future.result()
                _keep(arguments.results, arguments.seed, waiting[future], future.result())
        except TimeoutError:
            pool.shutdown(cancel_futures=True)
    return [done[number] for number in numbers if number in done]


def _kept(file: Path | None, seed: int) -> dict[int, Result]:
    lines = file.read_text().splitlines() if file and file.exists() else []
    rows = [json.loads(line) for line in lines]
    return {row["number"]: Result(**row["result"]) for row in rows if row["seed"] == seed}


def _keep(file: Path | None, seed: int, number: int, result: Result) -> None:
    if file:
        with file.open("a") as lines:
            lines.write(json.dumps({"seed": seed, "number": number, "result": asdict(result)}) + "\n")


def summary(results: list[Result]) -> dict[str, Any]:
    strings = [one for result in results for one in result.strings]
    legible = [one for one in strings if one["before"]]
    never = [one for one in strings if not one["before"]]
    areas = [result.false_positive for result in results if result.false_positive is not None]
    return {
        "images": len(results),
        "quarantined": sum(result.quarantined for result in results),
        "strings": len(strings),
        "legible": len(legible),
        "hidden": sum(not one["after"] for one in legible),
        "legible_covered": _share(one["covered"] >= 0.9 for one in legible),
        "never": len(never),
        "never_covered": _share(one["covered"] >= 0.9 for one in never),
        "false_positive_area": float(np.mean(areas)) if areas else 0.0,
        "left": [one for one in legible if one["after"]],
    }


def _share(tests: Any) -> float:
    found = list(tests)
    return sum(found) / len(found) if found else 1.0


def report(results: list[Result], figures: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"{'size':>10} {'images':>7} {'frames':>7} {'images/s':>9} {'frames/s':>9}   (processor time, all readings)")
    by_size = defaultdict(list)
    for result in results:
        by_size[result.size].append(result)
    for size, some in sorted(by_size.items()):
        seconds, frames = sum(result.seconds for result in some), sum(result.frames for result in some)
        print(f"{size:>10} {len(some):7} {frames:7} {len(some) / seconds:9.2f} {frames / seconds:9.2f}")
    strings = [one for result in results for one in result.strings]
    for key in ("kind", "size", "contrast", "rotation"):
        print(f"\n{key:>10} {'strings':>8} {'legible':>8} {'hidden':>8} {'covered':>8}")
        for value in sorted({one[key] for one in strings}):
            some = [one for one in strings if one[key] == value]
            legible = [one for one in some if one["before"]]
            hidden = _share(not one["after"] for one in legible)
            covered = _share(one["covered"] >= 0.9 for one in some)
            print(f"{value!s:>10} {len(some):8} {len(legible):8} {hidden:8.1%} {covered:8.1%}")
    print(
        f"\n{figures['images']} images, {figures['strings']} strings; {figures['legible']} legible to the other "
        f"reader, {figures['hidden']} of them not after; {figures['never']} that it never reads, of which "
        f"{figures['never_covered']:.1%} are black by their rectangle; {figures['quarantined']} images quarantined"
    )
    beside = ", ".join(f"{form} {frames:.1f}" for form, frames in figures["compressed_memory"].items())
    print(f"memory for masking beside the files, in frames, whatever their number: {beside}")
    for one in figures["left"]:
        print("  still read:", {key: one[key] for key in ("kind", "size", "contrast", "rotation", "covered")})


def goals(figures: dict[str, Any], *, quick: bool) -> int:
    """Print a line for each goal; return 1 when one falls short."""
    cost = figures["cost"]
    hidden = figures["hidden"] / max(figures["legible"], 1)
    memory = (cost["memory"] - cost["file"]) / cost["frame"]
    quarantined = figures["quarantined"] / figures["images"]
    area = figures["false_positive_area"]
    share = mixed_share(figures["looked_at"])
    beside = figures["compressed_memory"]
    ours = max(beside[form] for form in ("rle", "j2k", "jpeg-ll", "jpeg"))
    own_ls = beside["jls"] - beside["jls-codec"]
    rows = [
        ("hidden", f"{hidden:.2%}", ">= 95 %" if quick else ">= 99 %", hidden >= (0.95 if quick else 0.99)),
        ("false-positive-area", f"{area:.2%}", "<= 1 %", area <= 0.01),
        ("quarantined", f"{quarantined:.2%}", "<= 3 %", quarantined <= 0.03),
        ("read-of-mixed-corpus", f"{share:.2%}", "<= 5 %", share <= 0.05),
        ("mask-against-copy", f"{cost['mask'] / cost['copy']:.2f} x", "<= 2 x", cost["mask"] <= 2 * cost["copy"]),
        ("mask-memory", f"file + {memory:.2f} frames", "<= file + 3 frames", memory <= 3),
        ("compressed-mask-memory", f"files + {ours:.2f} frames", "<= files + 3 frames", ours <= 3),
        ("jpeg-ls-mask-memory", f"files + codec + {own_ls:.2f} frames", "<= files + codec + 3 frames", own_ls <= 3),
    ]
    for name, value, wanted, ok in rows:
        print(f"goal {name}: {value} (wanted {wanted}) {'ok' if ok else 'short'}")
    return int(not all(row[3] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
