"""Sending files by C-STORE with dcmtk's ``storescu``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from common.errors import ConfigurationError
from demo.samples import Sample

AE_TITLE = "DEMO_SENDER"
# storescu proposes one transfer syntax of compressed images for an association, by an option of its own.
_PROPOSE = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.5": "-xr",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
}
# -R: only the classes that are sent (the default list lacks some); -nh: go on after a refusal.
_SENDING = re.compile(r"Sending file: (.*)$")
_ANSWER = re.compile(r"Received Store Response \((\w+)\)")


@dataclass(frozen=True)
class Answer:
    """What became of one file; ``status`` is dcmtk's word for it, ``Success`` where it was stored."""

    sample: Sample
    status: str


def send(samples: Iterable[Sample], host: str, port: int, called_aet: str) -> Iterator[Answer]:
    """Send files, an association for each transfer syntax, and yield the answers as they come.

    Raises
    ------
    ConfigurationError
        ``storescu`` is not installed, or the peer refuses the association.
    """
    program = shutil.which("storescu")
    if program is None:
        raise ConfigurationError("storescu is not installed: run make setup-run (Debian's package dcmtk)")
    ordered = sorted(samples, key=lambda sample: sample.transfer_syntax)
    for syntax, group in groupby(ordered, key=lambda sample: sample.transfer_syntax):
        command = [program, "-v", "-R", "-nh", _PROPOSE[syntax], "-aet", AE_TITLE, "-aec", called_aet, host, str(port)]
        yield from _send_group(command, list(group))


def _send_group(command: list[str], group: list[Sample]) -> Iterator[Answer]:
    waiting = {str(sample.path): sample for sample in group}
    current, said = "", ""
    with subprocess.Popen(
        [*command, *waiting],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # dcmtk: without it every instance waits 48 ms for an acknowledgement.
        env={**os.environ, "TCP_NODELAY": "1"},
    ) as process:
        for line in process.stdout or ():
            if line.startswith(("E:", "F:")):
                said = line.strip()
            if match := _SENDING.search(line):
                current = match[1].strip()
            elif (match := _ANSWER.search(line)) and current in waiting:
                yield Answer(waiting.pop(current), match[1])
    if len(waiting) == len(group):
        raise ConfigurationError(f"storescu could not send to port {command[-1]}: {said or 'no answer'}")
    yield from (Answer(sample, "NotSent") for sample in waiting.values())
