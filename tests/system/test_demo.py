"""``make demo`` as a command: its books, its messages, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from demo.servers.process import wait_until
from demo.state import load_state


def run_demo(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "DEMO_FOLDER": str(folder), "DEMO_EXIT": "1", **variables}
    return subprocess.run(
        [sys.executable, "-m", "demo"], env=environ, capture_output=True, text=True, timeout=280, check=False
    )


def processes_of(folder: Path) -> list[str]:
    """Return the commands of processes that name a folder in their arguments or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            named = [*process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and any(str(folder) in text for text in named):
            found.append(" ".join(process.cmdline())[:100])
    return found


def test_the_books_balance_twice_in_a_row(tmp_path):
    for _ in range(2):
        finished = run_demo(tmp_path / "demo")
        assert finished.returncode == 0, finished.stderr[-2000:]
        (line,) = finished.stdout.splitlines()
        books = json.loads(line)
        assert books["sent"] == books["deidentified"] + books["discarded"] > 100
        assert books["searchable"] == books["deidentified"] > 0
        assert books["quarantined"] == books["failed"] == 0
        assert set(books) >= {"seconds", "portal_url"}
    assert processes_of(tmp_path / "demo") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind(tmp_path, number):
    folder = tmp_path / "demo"
    environ = {**os.environ, "DEMO_FOLDER": str(folder)}
    demo = subprocess.Popen(
        [sys.executable, "-m", "demo"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: len(processes_of(folder)) > 3, "the demo's servers", seconds=60)
    demo.send_signal(number)
    demo.wait(60)
    if number == signal.SIGKILL:  # nobody can catch it: the next start, or make demo-clean, clears up
        subprocess.run([sys.executable, "-m", "demo.clean"], env=environ, check=True, timeout=60)
    wait_until(lambda: processes_of(folder) == [], "the end of the demo's processes", seconds=20)


def test_a_taken_port_is_named_with_the_remedy(tmp_path):
    state = load_state(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", state.portal))
        taken.listen()
        finished = run_demo(tmp_path)
    assert finished.returncode == 1
    assert f"port {state.portal} for the portal is taken: stop what listens there" in finished.stderr
    assert "state.json" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_missing_orthanc_is_named_with_the_remedy(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("setpriv", "storescu"):
        (programs / name).symlink_to(shutil.which(name) or name)
    finished = run_demo(tmp_path / "demo", PATH=str(programs))
    assert finished.returncode == 1
    assert "Orthanc is not installed: run make setup-run" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert processes_of(tmp_path / "demo") == []


def test_a_slip_in_the_rules_is_named_with_its_line(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n"
        "  - Scope: {Labels: ALL}\n    DeletTags:\n      - TagPatterns: PatientName\n"
    )
    finished = run_demo(tmp_path / "demo", DEMO_RULES=str(rules))
    assert finished.returncode == 1
    assert "rules.yaml:5:5" in finished.stderr
    assert "DeletTags" in finished.stderr
    assert "DeleteTags" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_two_demos_do_not_share_a_folder(tmp_path):
    from demo.leftovers import sole_demo

    with sole_demo(tmp_path):
        finished = run_demo(tmp_path)
    assert finished.returncode == 1
    assert "a demo is running in" in finished.stderr
