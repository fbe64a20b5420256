"""The whole platform in its real processes, as the demo runs it, once for all tests of this folder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pydicom
import pytest
import requests
from rich.console import Console

from demo.__main__ import Progress, account
from demo.accounting import Counts
from demo.leftovers import sole_demo
from demo.platform import Platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory) -> Iterator[Platform]:
    """Give the running platform; nothing was sent."""
    folder = tmp_path_factory.mktemp("platform")
    with sole_demo(folder), Platform(folder, lambda line: None) as running:
        yield running


@dataclass(frozen=True)
class Sent:
    """What the demo's samples became."""

    stored: int
    counts: Counts


@pytest.fixture(scope="session")
def sent(platform) -> Sent:
    """Send the demo's samples and wait until each has come to its end."""
    return Sent(*account(platform, Progress(Console(file=io.StringIO()))))


@dataclass(frozen=True)
class ResearchFile:
    """One file of the research Orthanc: its identifier there, its bytes, what they say."""

    id: str
    data: bytes
    dataset: pydicom.FileDataset


@pytest.fixture(scope="session")
def research_files(platform, sent) -> list[ResearchFile]:
    """Give every file of the research Orthanc."""
    server = platform.research
    with requests.Session() as session:
        session.auth = server.auth
        ids = session.get(f"{server.url}/instances", timeout=30).json()
        files = []
        for instance in ids:
            data = session.get(f"{server.url}/instances/{instance}/file", timeout=30).content
            files.append(ResearchFile(instance, data, pydicom.dcmread(io.BytesIO(data))))
    return files
