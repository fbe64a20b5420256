"""DICOMweb through the portal, next to Orthanc's own: metadata, frames, whole series, the first image in OHIF.

Both are asked by the same client in the same run, turn by turn, so that what else the machine does weighs on both. The
series is made of a real CT header (pydicom's CT_small) with 512 × 512 pixels. The portal runs under gunicorn with two
worker processes, Orthanc as the tests and the demo run it. "Cold" metadata is asked for the first time, which every
process of the portal does once for a series; later it comes from memory. Before each cold turn one instance is indexed
anew, so that nothing that was kept of the series holds.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import requests
import urllib3
from playwright.sync_api import Browser, Page, sync_playwright
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from bench.portal import log_in, portal
from common.orthanc import Orthanc
from demo.servers.orthanc import OrthancServer, start_orthanc
from demo.servers.postgresql import start_postgresql
from tests.helpers.research_store import sample
from website.commands.migrate import migrate_research
from website.dicomweb.members import SECONDS
from website.index import Index, IndexDocument, build_document
from website.ohif import DEFAULT_FOLDER
from website.ohif.build import build

STUDY, LARGE, SMALL = "1.2.3.4.500", "1.2.3.4.500.1", "1.2.3.4.100.1"
STUDY_OF = {LARGE: STUDY, SMALL: "1.2.3.4.100"}
FRAMES = {"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
JSON = {"Accept": "application/dicom+json", "Accept-Encoding": "gzip"}
PARALLEL = 10
_PAINTED = """() => {
  const canvas = document.querySelector('canvas.cornerstone-canvas');
  if (!canvas || !canvas.width) return false;
  const context = canvas.getContext('2d');
  return [0.4, 0.5, 0.6].some(at => context.getImageData(canvas.width * at, canvas.height * at, 1, 1).data[0] > 20);
}"""


def series(uid: str, count: int) -> Iterator[bytes]:
    """Make the files of a series."""
    dataset = dcmread(io.BytesIO(sample("CT_small.dcm")))
    rows, columns = np.mgrid[0:512, 0:512]
    noise = np.random.default_rng(1).integers(0, 100, (512, 512))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY_OF[uid], uid
    dataset.Rows = dataset.Columns = 512
    dataset.WindowCenter, dataset.WindowWidth = "500", "1000"
    dataset.PixelSpacing, dataset.ImageOrientationPatient = [0.7, 0.7], [1, 0, 0, 0, 1, 0]
    for number in range(1, count + 1):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{uid}.{number}"
        dataset.InstanceNumber, dataset.ImagePositionPatient = number, [0, 0, number]
        dataset.PixelData = (1500 + rows + columns - 1024 + noise + number).astype("<i2").tobytes()
        out = io.BytesIO()
        dataset.save_as(out, enforce_file_format=True)
        yield out.getvalue()


def fill(orthanc: OrthancServer, index: Index, slices: int) -> IndexDocument:
    """Store and index both series; returns a document of the large one."""
    client = Orthanc(orthanc.url, *orthanc.auth)
    some: list[IndexDocument] = []
    for uid, count in ((LARGE, slices), (SMALL, 100)):
        documents = []
        for data in series(uid, count):
            client.upload(data)
            documents.append(build_document(None, data))
        index.add(documents)
        some.append(documents[0])
    return some[0]


class Server:
    """One of the two that are compared: a pool of connections with credentials."""

    def __init__(self, name: str, root: str, headers: dict[str, str]) -> None:
        self.name, self.root = name, root
        self._pool = urllib3.PoolManager(maxsize=PARALLEL, headers=headers)
        self._headers = headers

    def get(self, path: str, headers: dict[str, str]) -> int:
        """Ask, read everything; returns how many bytes came."""
        answer = self._pool.request("GET", self.root + path, headers={**self._headers, **headers}, timeout=120)
        if answer.status != 200:
            raise RuntimeError(f"{self.name}: {answer.status}")
        return len(answer.data)

    def metadata(self, uid: str) -> float:
        """Return how many seconds the metadata of a series takes."""
        begun = time.perf_counter()
        self.get(f"/studies/{STUDY_OF[uid]}/series/{uid}/metadata", JSON)
        return time.perf_counter() - begun

    def frames(self, uid: str, count: int, slices: int) -> float:
        """Return how many frames come in a second with ten requests at a time."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(lambda number: self._frame(uid, number % slices + 1), range(count)))
        return count / (time.perf_counter() - begun)

    def _frame(self, uid: str, number: int) -> None:
        size = self.get(f"/studies/{STUDY_OF[uid]}/series/{uid}/instances/{uid}.{number}/frames/1", FRAMES)
        if size < 512 * 512 * 2:
            raise RuntimeError(f"{self.name}: a frame is short")


def measure_metadata(
    report: Benchmark, servers: list[Server], rounds: int, slices: int, index: Index, one: IndexDocument
) -> None:
    """Ask for the metadata of the large series, first cold and turn by turn, then again and again."""
    orthanc, ours = servers
    orthanc.metadata(SMALL)  # connections, and what both load at their first request
    ours.metadata(SMALL)
    first, alone = [], []
    for _ in range(rounds):
        index.remove([one.ids.instance])
        index.add([one])
        time.sleep(SECONDS)  # until the portal looks again at what the series holds
        alone.append(orthanc.metadata(LARGE))
        first.append(ours.metadata(LARGE))
    cold, base = statistics.median(first), statistics.median(alone)
    warm = statistics.median([ours.metadata(LARGE) for _ in range(2 * rounds)])
    rows = [("Orthanc alone", base * 1000), ("portal, cold", cold * 1000), ("portal, again", warm * 1000)]
    report.table(f"Metadata of {slices} slices", ("", "ms"), rows)
    report.goal("cold metadata, of Orthanc's time", cold / base, "<=", 1.2)
    report.goal("metadata again, of Orthanc's time", warm / base, "<=", 1.2)


def measure_frames(report: Benchmark, servers: list[Server], rounds: int, count: int, slices: int) -> None:
    """Ask for frames, turn by turn."""
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    for server in servers:
        server.frames(LARGE, 50, slices)
    for _ in range(rounds):
        for server in servers:
            rates[server.name].append(server.frames(LARGE, count, slices))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    report.table("Frames of 512 KB, 10 at a time", ("", "frames/s"), list(medians.items()))
    report.goal("frames, of Orthanc's rate", medians["portal"] / medians["Orthanc"], ">=", 0.7)


def measure_memory(report: Benchmark, ours: Server, processes: list[psutil.Process], slices: int) -> None:
    """Take whole series and watch the portal's processes."""
    path = f"/studies/{STUDY}/series/{LARGE}"
    before, peak, done = _memory(processes), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], _memory(processes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    received = sum(_drain(ours, path) for _ in range(2))
    done.set()
    watcher.join()
    grown = (peak[0] - before) / 1e6
    report.table("Whole series", ("", "MB"), [("sent", received / 1e6), ("before", before / 1e6), ("grown by", grown)])
    report.goal("memory for whole series (MB)", grown, "<=", 64)


def _memory(processes: list[psutil.Process]) -> int:
    return sum(process.memory_info().rss for process in processes)


def _drain(server: Server, path: str) -> int:
    headers = {**server._headers, "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    with requests.get(server.root + path, headers=headers, stream=True, timeout=300) as answer:
        answer.raise_for_status()
        return sum(map(len, answer.iter_content(1 << 20)))


def first_image(browser: Browser, url: str, session: requests.Session, direct: str = "") -> float:
    """Return the seconds from opening the viewer to a painted canvas, with nothing in the browser's cache."""
    context = browser.new_context(bypass_csp=bool(direct), viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    context.add_cookies([{"name": each.name, "value": str(each.value), "url": url} for each in session.cookies])
    page = context.new_page()
    if direct:
        config = (Path(DEFAULT_FOLDER).parent / "app-config.js").read_text()
        config = config.replace(": '/dicom-web';", f": '{direct}';")
        page.route("**/app-config.js", lambda route: route.fulfill(body=config, content_type="text/javascript"))
    begun = time.perf_counter()
    page.goto(f"{url}/viewer/viewer?StudyInstanceUIDs={STUDY_OF[SMALL]}", wait_until="commit")
    _wait(page, lambda: page.evaluate(_PAINTED))
    took = time.perf_counter() - begun
    context.close()
    return took


def _wait(page: Page, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("no image in two minutes")
        page.wait_for_timeout(20)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium; it may ask another origin, which is how OHIF reaches Orthanc without the portal."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-web-security", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        yield browser
        browser.close()


def measure_viewer(report: Benchmark, url: str, orthanc: OrthancServer, rounds: int) -> None:
    """Open the hundred slices in OHIF, through the portal and from Orthanc, turn by turn."""
    session, direct = log_in(url), f"{orthanc.url}/dicom-web"
    times: dict[str, list[float]] = {"Orthanc": [], "portal": []}
    with chromium() as browser:
        first_image(browser, url, session)  # the browser's own start
        for _ in range(rounds):
            times["Orthanc"].append(first_image(browser, url, session, direct))
            times["portal"].append(first_image(browser, url, session))
    medians = {name: statistics.median(each) for name, each in times.items()}
    report.table("First image of 100 slices in OHIF", ("", "s"), list(medians.items()))
    report.goal("first image, of the time without the portal", medians["portal"] / medians["Orthanc"], "<=", 1.3)


def main() -> int:
    """Run the benchmark."""
    options = arguments(__doc__.split("\n")[0]).parse_args()
    slices, rounds, count, pages = (200, 2, 300, 1) if options.quick else (500, 5, 1000, 3)
    build(DEFAULT_FOLDER)
    report = Benchmark("dicomweb")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = start_postgresql(folder / "postgresql")
        # Without a password, which OHIF could not send; whoever measures is on this machine.
        orthanc = start_orthanc(folder / "orthanc", "research", options={"AuthenticationEnabled": False})
        try:
            server.execute("CREATE DATABASE portal")
            database = server.database("portal")
            migrate_research(database, "rpacs_website")
            index = Index(database)
            one = fill(orthanc, index, slices)
            with portal(folder, server, orthanc, workers=2) as (url, processes):
                cookies = "; ".join(f"{each.name}={each.value}" for each in log_in(url).cookies)
                servers = [
                    Server("Orthanc", f"{orthanc.url}/dicom-web", {}),
                    Server("portal", f"{url}/dicom-web", {"Cookie": cookies}),
                ]
                measure_metadata(report, servers, rounds, slices, index, one)
                measure_frames(report, servers, rounds, count, slices)
                measure_memory(report, servers[1], processes, slices)
                measure_viewer(report, url, orthanc, pages)
            database.close()
        finally:
            orthanc.stop()
            server.stop()
    return report.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
