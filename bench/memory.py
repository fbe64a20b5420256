"""The memory of a worker while large multi-frame files pass: at most (largest instance × threads × 4) + 150 MB.

Files of some hundred megabytes, uncompressed and compressed (JPEG 2000 that no rule touches), more of them than
threads, through both Orthancs. What is measured is the worker's highest resident set, as the kernel counted it.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, generate_uid

from bench.goals import Benchmark, arguments
from common.tasks import TaskQueue
from demo.servers.pipeline import PipelineServers
from demo.servers.process import wait_until
from tests.helpers.slices import make_slice

MEGABYTE = 1_000_000
ROWS = 1024
FRAME = 2 * ROWS * ROWS


def make_file(number: int, megabytes: int, *, compressed: bool) -> bytes:
    """Return a CT of many frames that are all alike."""
    dataset = pydicom.dcmread(io.BytesIO(make_slice(number, patient=f"M{compressed}")))
    dataset.Rows = dataset.Columns = ROWS
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str((number, compressed))])
    frame = np.random.default_rng(number).integers(0, 4096, FRAME // 2, dtype="<u2").tobytes()
    dataset.PixelData = frame
    if compressed:
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    frames = dataset.NumberOfFrames = max(1, megabytes * MEGABYTE // len(frame))
    dataset.PixelData = encapsulate([frame] * frames) if compressed else frame * frames
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def peak_megabytes(pid: int) -> float:
    """Return the highest resident set of a process (proc(5), VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / MEGABYTE


def _are_settled(servers: PipelineServers, count: int) -> bool:
    states = [row["state"] for row in TaskQueue(servers.owner, "ingest").list_tasks()]
    return len(states) == count and not {"queued", "running"} & set(states)


def measure(megabytes: int, threads: int, *, compressed: bool) -> tuple[float, float, float]:
    """Return the size of a file, the allowed and the highest memory of the worker, in MB."""
    folder = Path(tempfile.mkdtemp(prefix="rpacs-bench-"))
    servers = PipelineServers(folder)
    try:
        client, size = servers.client(servers.source), 0.0
        for number in range(threads + 1):
            data = make_file(number, megabytes, compressed=compressed)
            size = max(size, len(data) / MEGABYTE)
            client.upload(data)
        worker = servers.start("work", "deidentifier", "work", "--threads", str(threads))
        research = servers.client(servers.research)
        wait_until(lambda: _are_settled(servers, threads + 1), "the tasks", seconds=400)
        if research.count_instances() != threads + 1:
            raise RuntimeError("not every file came through: what is measured is not what is meant")
        wait_until(lambda: client.count_instances() == 0, "the originals' deletion", seconds=100)
        pid = worker.process.pid if worker.process else 0
        return size, size * threads * 4 + 150, peak_megabytes(pid)
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    given = arguments(__doc__.splitlines()[0])
    given.add_argument("--megabytes", type=int, default=0, help="of a file (500; --quick: 60)")
    given.add_argument("--threads", type=int, default=2, help="of the worker")
    options = given.parse_args()
    megabytes = options.megabytes or (60 if options.quick else 500)
    benchmark, rows = Benchmark("memory"), []
    for compressed in (False, True):
        name = "compressed" if compressed else "uncompressed"
        size, allowed, peak = measure(megabytes, options.threads, compressed=compressed)
        rows.append([name, size, allowed, peak, peak / size / options.threads])
        benchmark.goal(f"{name}: highest / allowed memory", peak / allowed, "<=", 1.0)
    columns = ["files", "MB each", "MB allowed", "MB highest", "times instance and thread"]
    benchmark.table(f"A worker with {options.threads} threads", columns, rows)
    return benchmark.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
