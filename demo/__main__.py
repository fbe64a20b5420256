"""Run the whole platform on this machine: ``make demo``.

Sends real studies by C-STORE, shows where they are until everything is accounted for, and stays up until Ctrl-C.
``DEMO_FOLDER`` is where it keeps its state (.demo), ``DEMO_RULES`` another rules file than the product's own.
With ``DEMO_EXIT=1``: prints one JSON line instead of staying, and exits 0 only if everything that was sent is either
discarded by rule or searchable.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from common.errors import ResearchPacsError
from demo.accounting import Accounting, Counts
from demo.leftovers import sole_demo
from demo.platform import ADMINISTRATOR, RESEARCHER, RULES, Platform
from demo.samples import read_samples, sample_paths
from demo.send import send
from demo.servers.process import PortTakenError

FOLDER = Path(os.environ.get("DEMO_FOLDER", ".demo"))
# Everything must be accounted for after so many seconds, or the demo says what is missing.
DEADLINE = 240.0


class Progress:
    """What a person watches: a table on a terminal, a plain line for each change elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown = ""

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(text, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Show the table as long as the block runs."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=8) as self._live:
            yield
        self._live = None

    def show(self, sent: int, total: int, counts: Counts) -> None:
        """Show the counts of this moment."""
        fields = {"sent": f"{sent}/{total}", **{name: str(value) for name, value in vars(counts).items()}}
        line = "  ".join(f"{name} {value}" for name, value in fields.items())
        if line == self._shown:
            return
        self._shown = line
        if self._live is None:
            self.say(line)
            return
        table = Table(title="Instances")
        for name in fields:
            table.add_column(name, justify="right")
        table.add_row(*fields.values())
        self._live.update(table)


class Sender(threading.Thread):
    """Sends the samples while the main thread counts."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(daemon=True)
        self._platform = platform
        self.samples = read_samples(sample_paths())
        self.stored: set[str] = set()
        self.refused: list[str] = []
        self.error: ResearchPacsError | None = None

    def run(self) -> None:
        """Send everything."""
        source = self._platform.source
        try:
            for answer in send(self.samples, "127.0.0.1", source.dicom_port, source.aet):
                if answer.status == "Success":
                    self.stored.add(answer.sample.sop_instance_uid)
                else:
                    self.refused.append(answer.sample.path.name)
        except ResearchPacsError as exc:
            self.error = exc


def account(platform: Platform, progress: Progress) -> tuple[int, Counts]:
    """Send the samples and wait until each has come to its end; returns how many were stored, and the counts."""
    accounting = Accounting(platform.owner())
    sender = Sender(platform)
    sender.start()
    deadline = time.monotonic() + DEADLINE
    with progress.watching():
        while True:
            done = not sender.is_alive()
            counts = accounting.count()
            progress.show(len(sender.stored), len(sender.samples), counts)
            if (done and counts.complete(len(sender.stored))) or time.monotonic() > deadline:
                break
            platform.check()
            time.sleep(0.25)
    if sender.error:
        raise sender.error
    if sender.refused:
        progress.say(f"The source Orthanc refused {len(sender.refused)} files: {', '.join(sender.refused[:5])} …")
    return len(sender.stored), counts


def report(platform: Platform, sent: int, counts: Counts) -> dict[str, object]:
    """Make the summary that ``DEMO_EXIT=1`` prints."""
    started = float(os.environ.get("DEMO_STARTED") or time.time())
    return {
        "sent": sent,
        "deidentified": counts.deidentified,
        "discarded": counts.discarded,
        "quarantined": counts.quarantined,
        "failed": counts.failed,
        "searchable": counts.searchable,
        "seconds": round(time.time() - started, 1),
        "portal_url": platform.portal_url,
    }


def welcome(platform: Platform, progress: Progress) -> None:
    """Tell where everything is."""
    state = platform.state
    for line in (
        "",
        f"Portal           {platform.portal_url}",
        f"  researcher     {RESEARCHER} / {state.researcher_password}",
        f"  administrator  {ADMINISTRATOR} / {state.administrator_password}",
        f"Console          {platform.console_url}  (the ingest side: originals, what waits for a decision)",
        f"  administrator  {ADMINISTRATOR} / {state.console_password}",
        f"S3 endpoint      {platform.s3.url}  (access key {state.s3_access_key}, secret key in {FOLDER}/state.json)",
        f"Send more to     {platform.source.aet} at 127.0.0.1:{platform.source.dicom_port}, for example:",
        f"  TCP_NODELAY=1 storescu -aec {platform.source.aet} 127.0.0.1 {platform.source.dicom_port} FILE.dcm",
        f"Logs             {platform.folder}/demo.log",
        "The research Orthanc of the demo keeps its files in a folder: Debian's Orthanc has no S3 plugin.",
        "Ctrl-C stops everything; make demo goes on where it stopped; make demo-clean removes it.",
    ):
        progress.say(line)


def wait_for_end(platform: Platform) -> None:
    """Stay until a signal, or until a service has ended by itself."""
    while True:
        platform.check()
        time.sleep(1)


def main() -> int:
    """Run the demo; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    progress = Progress(Console(stderr=bool(os.environ.get("DEMO_EXIT"))))
    rules = Path(os.environ.get("DEMO_RULES") or RULES)
    try:
        with sole_demo(FOLDER), Platform(FOLDER, progress.say, rules=rules) as platform:
            sent, counts = account(platform, progress)
            summary = report(platform, sent, counts)
            if os.environ.get("DEMO_EXIT"):
                print(json.dumps(summary), flush=True)
                return 0 if complete(sent, counts) else 1
            if not complete(sent, counts):
                progress.say(f"Not everything is searchable: the administrators' page and {FOLDER}/demo.log tell why.")
            welcome(platform, progress)
            wait_for_end(platform)
    except KeyboardInterrupt:
        progress.say("Stopped.")
        return 130 if os.environ.get("DEMO_EXIT") else 0
    except PortTakenError as exc:
        progress.say(f"The demo cannot start: {exc} (in {FOLDER}/state.json, where the demo keeps its ports).")
        return 1
    except (ResearchPacsError, OSError) as exc:
        progress.say(f"The demo cannot go on: {exc}")
        return 1
    return 0


def complete(sent: int, counts: Counts) -> bool:
    """Tell whether the books balance and nothing needs a person."""
    balanced = sent == counts.deidentified + counts.discarded and counts.searchable == counts.deidentified
    return balanced and sent > 0 and not counts.quarantined and not counts.failed


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # stopping is under way; a second Ctrl-C must not cut it short
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
