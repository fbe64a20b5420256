"""The engine, the images and the platform in containers. Without CONTAINERS=smoke or full, only files are looked at."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.containers.engine import Engine, UnavailableError
from tests.containers.images import DEBIAN, ORTHANC, POSTGRESQL, PROXY, S3, make_bases
from tests.containers.platform import Compose

FOLDER = Path(__file__).parent
MODE = os.environ.get("CONTAINERS", "")
collect_ignore = {
    "smoke": ["test_backup.py", "test_orthanc.py", "test_platform.py", "test_tls.py"],
    "full": [],
}.get(MODE, ["test_backup.py", "test_orthanc.py", "test_platform.py", "test_smoke.py", "test_tls.py"])
BASES = (DEBIAN, ORTHANC, POSTGRESQL, S3, PROXY)
# What is built, each from its base; the longest first.
BUILT = [
    (DEBIAN, "deidentifier"),
    (ORTHANC, "source-orthanc"),
    (DEBIAN, "portal"),
    (POSTGRESQL, "postgresql"),
    (S3, "s3"),
    *([(PROXY, "proxy")] if MODE == "full" else []),
]


# Seconds for making images: a mirror that is slow today is no defect of ours.
BUILD_SECONDS = 240 if MODE == "smoke" else 1500


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the images, too."""
    for item in items:
        if item.path.parent == FOLDER:
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS + 600))


@pytest.fixture(scope="session")
def say(request) -> Callable[[str], None]:
    """Give a function that writes where nobody overlooks it, captured output or not."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", flush=True)

    return say


def skip_loudly(say: Callable[[str], None], reason: str) -> None:
    """Skip everything that needs the engine."""
    say(f"{'!' * 78}\nCONTAINER TESTS SKIPPED: {reason}\n{'!' * 78}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine(say) -> Iterator[Engine]:
    """Give a Docker engine, or skip."""
    engine = Engine()
    try:
        engine.start()
    except UnavailableError as exc:
        skip_loudly(say, str(exc))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def compose(engine, tmp_path_factory, say) -> Iterator[Compose]:
    """Give the project, its images built, nothing started."""
    compose = Compose(engine, tmp_path_factory.mktemp("compose"), "rpacs-test")
    started = time.monotonic()
    try:
        build(compose, started + BUILD_SECONDS)
    except UnavailableError as exc:
        skip_loudly(say, str(exc))
    except subprocess.TimeoutExpired:
        skip_loudly(say, f"making the images takes longer than {BUILD_SECONDS} s here")
    say(f"the images are there after {time.monotonic() - started:.0f} s")
    compose.make_secrets()
    yield compose
    compose.down()


def build(compose: Compose, deadline: float) -> None:
    """Make the bases, then all images, some at a time; what the network spoils is tried again once."""
    make_bases(compose.engine, BASES[:1])
    # The smoke form leaves out what finds burned-in text, and the viewer: 350 MB to fetch, and nothing starts them.
    without = ["--build-arg", "OCR=none", "--build-arg", "VIEWER=none"] if MODE == "smoke" else []

    def make(base: str, service: str) -> None:
        for last in (False, True):
            try:
                make_bases(compose.engine, [base])
                compose("build", *without, service, timeout=max(1.0, deadline - time.monotonic()))
                return
            except UnavailableError:
                if last:
                    raise

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(make, *zip(*BUILT, strict=True)))


@pytest.fixture(scope="session")
def platform(compose) -> Compose:
    """Give the running platform, with a researcher and an administrator."""
    compose.add_account("rita", "readonly")
    compose.add_account("ada", "admin")
    compose.up()
    return compose


@pytest.fixture(autouse=True)
def explain(request) -> Iterator[None]:
    """Print the end of the logs of a project whose test failed."""
    yield
    if "compose" in request.fixturenames and request.session.testsfailed:
        compose = request.getfixturevalue("compose")
        print(compose("logs", "--no-color", "--tail", "30"))
