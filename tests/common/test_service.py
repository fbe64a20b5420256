"""Child processes that are started again when they end."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from common.service import Children
from demo.servers.process import wait_until

STOP = """
import os, signal
from common.service import stop_on_signals
with stop_on_signals() as stop:
    with stop._cond:  # as the main thread may have it, in the middle of waiting
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait(10)
"""


def test_a_signal_in_the_middle_of_waiting_for_it_is_taken():
    assert subprocess.run([sys.executable, "-c", STOP], timeout=30, check=False).returncode == 0


COUNT = "import os, signal, sys; open({file!r}, 'a').write('.'); "


@pytest.mark.parametrize(("end", "soon"), [("os.kill(os.getpid(), signal.SIGKILL)", True), ("sys.exit(2)", False)])
def test_a_child_that_is_killed_again_and_again_is_soon_there_again(tmp_path, end, soon):
    """A file that kills workers does so ten times; one that cannot start at all is tried ever more seldom."""
    file, stop = tmp_path / "starts", threading.Event()
    children = Children({"child": [sys.executable, "-c", COUNT.format(file=str(file)) + end]}, {})
    running = threading.Thread(target=children.run, args=(stop,))
    running.start()
    try:
        starts = lambda: len(file.read_text()) if file.exists() else 0  # noqa: E731
        if soon:
            wait_until(lambda: starts() >= 10, "ten starts", seconds=35)
        else:
            wait_until(lambda: starts() >= 4, "four starts", seconds=35)
    finally:
        stop.set()
        running.join(20)
    assert not running.is_alive()
