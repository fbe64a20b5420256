"""The portal under gunicorn as fifty users know it: pages over a large index, and a large ZIP in little memory.

Every user is logged in with a browser's session, asks for a page, reads it for 5 to 15 seconds, asks for the next: half
of them searches (other words, values and levels each time; after the rows the page loads the overview, as its script
does), the rest home, studies, series, instances, suggestions and permissions. The database is durable. The ZIP is that
of a whole result, read from a real Orthanc; memory is how much the portal's processes grow while it is sent.
"""

from __future__ import annotations

import html
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from bench.search_archive import load
from common.auth.passwords import hash_password
from common.database import Database
from demo.servers.orthanc import OrthancServer, start_orthanc
from demo.servers.postgresql import PostgreSQL, start_postgresql
from demo.servers.process import free_port
from tests.helpers.research_store import make_instance
from website.commands.migrate import migrate_research
from website.index import Index, build_document

ROOT = Path(__file__).parents[1]
USERS = 50
READING = (5.0, 15.0)
PASSWORD = "correct horse battery"
REGIONS = ("chest", "abdomen", "head", "thorax", "knee", "spine", "pelvis", "neck")
DETAILS = ("contrast", "follow", "low dose", "trauma")
PERMISSIONS = "Profiles:\n  All: {Description: everything}\nPermissions:\n  - {Groups: all, Profiles: All}\n"


@contextmanager
def portal(
    folder: Path, server: PostgreSQL, orthanc: OrthancServer, database: str = "portal", *, workers: int = 0
) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Run the portal under gunicorn, a process for each core or as many as told; yields its address and processes."""
    port = free_port()
    (folder / "permissions.yaml").write_text(PERMISSIONS)
    (folder / "accounts.yaml").write_text(
        f"users:\n  rita: {{groups: [all], password: {hash_password(PASSWORD)}, disabled: false}}\n"
    )
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "RPACS_POSTGRESQL_HOSTNAME": server.host,
        "RPACS_POSTGRESQL_PORT": str(server.port),
        "RPACS_POSTGRESQL_DB_NAME": database,
        "RPACS_POSTGRESQL_USERNAME": "rpacs_website",
        "RPACS_POSTGRESQL_PASSWORD": "rpacs_website",
        "RPACS_ORTHANC_HOSTNAME": orthanc.url,
        "RPACS_ORTHANC_USERNAME": orthanc.auth[0],
        "RPACS_ORTHANC_PASSWORD": orthanc.auth[1],
        "RPACS_PERMISSIONS_FILE": str(folder / "permissions.yaml"),
        "RPACS_AUTHENTICATION": "local",
        "RPACS_ACCOUNTS_FILE": str(folder / "accounts.yaml"),
        "RPACS_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RPACS_SECRET_KEY": "s" * 32,
        "RPACS_AUDIT_KEY": "a" * 32,
        "RPACS_LOG_FILE": str(folder / "access.log"),
        "RPACS_COSTLY_REQUESTS_PER_MINUTE": "100000",
    }
    command = [sys.executable, "-m", "gunicorn", "website.wsgi:app", "--bind", f"127.0.0.1:{port}"]
    command += ["--config", "python:website.gunicorn_settings", *(["--workers", str(workers)] if workers else [])]
    with (folder / "portal.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        try:
            _await(f"http://127.0.0.1:{port}/healthcheck")
            yield f"http://127.0.0.1:{port}", psutil.Process(process.pid).children()
        finally:
            process.terminate()
            process.wait(30)


def _await(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def log_in(url: str) -> requests.Session:
    """Log in by the form, as a browser does."""
    session = requests.Session()
    session.headers["Accept"] = "text/html"
    found = re.search(r'name="csrf_token" value="([^"]+)"', session.get(f"{url}/login", timeout=60).text)
    form = {"csrf_token": found[1] if found else "", "name": "rita", "password": PASSWORD, "next": "/"}
    answer = session.post(f"{url}/login", data=form, headers={"Referer": f"{url}/login"}, timeout=60)
    answer.raise_for_status()
    return session


def addresses(url: str, session: requests.Session) -> list[str]:
    """Return the addresses of pages of some studies, series and instances."""
    found: list[str] = []
    for level, kind in (("study", "studies"), ("series", "series"), ("instance", "instances")):
        page = session.get(f"{url}/search?level={level}", timeout=60).text
        found += re.findall(rf'<a href="(/{kind}/[0-9a-f-]+)"', page)[:40]
    return found


class User(threading.Thread):
    """One user: asks, reads, asks again."""

    def __init__(self, number: int, url: str, session: requests.Session, pages: list[str], seconds: float) -> None:
        super().__init__()
        self._chance = random.Random(number)
        self._url, self._session, self._pages = url, session, pages
        self._seconds = seconds
        self.times: dict[str, list[float]] = {"search": [], "overview": [], "other": []}
        self.errors = 0

    def run(self) -> None:
        end = time.monotonic() + self._seconds
        time.sleep(self._chance.uniform(0, READING[1]))  # not all in the same moment
        while time.monotonic() < end:
            kind, path = self._next()
            begun = time.perf_counter()
            answer = self._session.get(self._url + path, timeout=60)
            self.times[kind].append((time.perf_counter() - begun) * 1000)
            self.errors += answer.status_code != 200
            self._load_rest(answer.text)
            time.sleep(self._chance.uniform(*READING))

    def _load_rest(self, page: str) -> None:
        """Load the part that a page leaves for later, as its script does."""
        found = re.search(r'data-load="([^"]+)"', page)
        if found is None:
            return
        begun = time.perf_counter()
        answer = self._session.get(self._url + html.unescape(found[1]), timeout=60)
        self.times["overview"].append((time.perf_counter() - begun) * 1000)
        self.errors += answer.status_code != 200

    def _next(self) -> tuple[str, str]:
        if self._chance.random() < 0.5:
            level = self._chance.choice(("study", "series", "instance"))
            return "search", f"/search?level={level}&q={requests.utils.quote(self._query())}"
        choices = ["/", "/permissions", "/help", "/searches", "/search/suggest?q=Modality+StrEquals+&at=19"]
        return "other", self._chance.choice([self._chance.choice(self._pages), self._chance.choice(choices)])

    def _query(self) -> str:
        """Make up a query; there are some ten thousands, so that hardly one is asked twice."""
        chance = self._chance
        modality = chance.choice(("CT", "MR", "PT", "DX"))
        described = f'StudyDescription StrEquals "*{chance.choice(REGIONS)}*{chance.choice(DETAILS)}*"'
        rows = f"Rows NbGreater {chance.randint(100, 900)}"
        thickness = f"SliceThickness NbLess {chance.uniform(0.6, 5):.2f}"
        station = f"StationName StrEquals STATION{chance.randint(1, 40)}"
        return chance.choice(
            (
                "",
                f"Modality StrEquals {modality}",
                f"{described} AND {thickness}",
                f"{rows} AND {thickness}",
                f"Modality StrEquals {modality} AND NOT {station}",
                f"({described} OR {rows}) AND Modality In ({modality}, CT)",
                f"StudyDate DateAfter {chance.randint(2008, 2024)}-0{chance.randint(1, 9)}-01 AND {station}",
            )
        )


def measure_pages(report: Benchmark, url: str, seconds: float) -> None:
    """Let all users work for some seconds."""
    first = log_in(url)
    pages = addresses(url, first)
    users = [User(number, url, first if not number else _same(first), pages, seconds) for number in range(USERS)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    rows, kinds = [], {"search": 400, "overview": 400, "other": 200}
    for kind in kinds:
        times = sorted(each for user in users for each in user.times[kind])
        rows.append((kind, len(times), times[len(times) // 2], times[int(len(times) * 0.95)], times[-1]))
    report.table(f"Pages, {USERS} users", ("page", "requests", "median ms", "95 % ms", "longest ms"), rows)
    for (kind, wanted), row in zip(kinds.items(), rows, strict=True):
        report.goal(f"p95 of {kind} pages (ms)", float(row[3]), "<=", wanted)
    report.goal("errors", float(sum(user.errors for user in users)), "==", 0)


def _same(session: requests.Session) -> requests.Session:
    """Return another connection with the same login: scrypt is not what is measured here."""
    other = requests.Session()
    other.headers.update(session.headers)
    other.cookies.update(session.cookies)
    return other


def measure_zip(report: Benchmark, url: str, workers: list[psutil.Process], megabytes: int) -> None:
    """Download a ZIP of about so many megabytes and watch the portal's memory."""
    session = log_in(url)
    session.get(f"{url}/search?q=PatientID+StrEquals+P777", timeout=60)
    before, peak, received, begun = _memory(workers), 0, 0, time.perf_counter()
    with session.get(f"{url}/search.zip?q=PatientID+StrEquals+P777", stream=True, timeout=600) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_content(1 << 20):
            received += len(chunk)
            peak = max(peak, _memory(workers))
    took, grown = time.perf_counter() - begun, (peak - before) / 1e6
    rows = [(received / 1e6, received / 1e6 / took, before / 1e6, grown)]
    report.table("ZIP of a result", ("MB", "MB/s", "portal before, MB", "grown by, MB"), rows)
    report.goal("ZIP (MB)", received / 1e6, ">=", megabytes)
    report.goal("memory for the ZIP (MB)", grown, "<=", 100)


def _memory(workers: list[psutil.Process]) -> int:
    return sum(worker.memory_info().rss for worker in workers)


def fill_orthanc(orthanc: OrthancServer, index: Index, megabytes: int, each: int = 50) -> None:
    """Store instances of ``each`` megabytes in Orthanc, and index them."""
    pixels = random.Random(1).randbytes(each * 1_000_000)
    for number in range(-(-megabytes // each)):
        data = make_instance(777, 1, 1, number, PixelData=pixels, Rows=5000, Columns=each * 100)
        requests.post(f"{orthanc.url}/instances", data=data, auth=orthanc.auth, timeout=120).raise_for_status()
        index.add([build_document(None, data)])


def main() -> int:
    """Run the benchmark."""
    options = arguments(__doc__.split("\n")[0]).parse_args()
    instances, seconds, megabytes = (30_000, 20.0, 200) if options.quick else (1_000_000, 90.0, 2000)
    report = Benchmark("portal")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = start_postgresql(folder / "postgresql")
        orthanc = start_orthanc(folder / "orthanc", "research")
        try:
            server.execute("CREATE DATABASE portal")
            database: Database = server.database("portal")
            migrate_research(database, "rpacs_website")
            index = Index(database)
            load(database, index, instances)
            fill_orthanc(orthanc, index, megabytes)
            with portal(folder, server, orthanc) as (url, workers):
                measure_pages(report, url, seconds)
                measure_zip(report, url, workers, megabytes)
            database.close()
        finally:
            orthanc.stop()
            server.stop()
    return report.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
