"""Making the viewer's folder: from whom, only those bytes, only as often replaced as it must be."""

from __future__ import annotations

import gzip
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from common.errors import ConfigurationError
from website.ohif import DEFAULT_FOLDER
from website.ohif.build import build, main
from website.ohif.contents import Viewer
from website.ohif.package import fetch, find_registry
from website.ohif.prepare import REPLACEMENTS, Preparation


@pytest.fixture
def registry(monkeypatch):
    """Give a registry that answers every package with the same bytes."""

    class Handler(BaseHTTPRequestHandler):
        asked: ClassVar[list[str]] = []
        status = 200

        def do_GET(self) -> None:
            self.asked.append(self.path)
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(b"not the viewer")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/npm/")
    yield Handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_registry_is_npms_choice(tmp_path) -> None:
    nearest, home = tmp_path / "near", tmp_path / "home"
    nearest.write_text("//host/:_authToken=secret\n@other:registry=https://other.example\n")
    home.write_text("registry=https://mirror.example/npm/\n@ohif:registry = 'https://ohif.example/'\n")
    files = [tmp_path / "absent", nearest, home]
    assert find_registry({}, files) == "https://ohif.example"
    assert find_registry({"NPM_CONFIG_REGISTRY": "https://env.example/"}, files) == "https://env.example"
    home.write_text("registry=https://mirror.example/npm/\n")
    assert find_registry({}, files) == "https://mirror.example/npm"
    assert find_registry({}, [nearest]).startswith("https://")


def test_other_bytes_are_refused(registry, tmp_path, capsys) -> None:
    with pytest.raises(ConfigurationError, match="SHA-512 is another"):
        fetch(io.BytesIO())
    assert registry.asked == ["/npm/@ohif/app/-/app-3.13.2.tgz"]
    assert main([str(tmp_path / "viewer")]) == 2
    assert "The viewer was not installed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_registry_that_fails_is_told_without_its_address(registry, monkeypatch) -> None:
    registry.status = 404
    with pytest.raises(ConfigurationError, match="cannot be fetched") as told:
        fetch(io.BytesIO())
    assert "127.0.0.1" not in str(told.value)


def test_counts_that_differ_stop_the_build() -> None:
    preparation = Preparation()
    preparation.prepare("app.bundle.css", b"url(/a) url(/b)")
    with pytest.raises(ConfigurationError) as told:
        preparation.check()
    assert "'url(/' in app\\.bundle\\.css: found 2 times in 1 files, expected 5 times in 1" in str(told.value)
    assert len(told.value.problems) == len(REPLACEMENTS) + 1


@pytest.fixture(scope="module")
def viewer() -> Viewer:
    """Give the viewer that make setup installs."""
    build(DEFAULT_FOLDER)
    return Viewer(DEFAULT_FOLDER)


def test_the_installed_viewer(viewer) -> None:
    """The pinned version, nothing that leads elsewhere."""
    assert build(DEFAULT_FOLDER) is False
    page = viewer.find("index.html").plain().decode()
    assert "<script>" not in page
    assert 'src="/viewer/boot.js"></script><script src="/viewer/app-config.js">' in page
    assert sum(file.worker for file in viewer._files.values()) == 7
    assert not [path for path in viewer._files if path.startswith(("ort/", "dicom-microscopy-viewer/", "sw.js"))]
    assert viewer.find("LICENSE.txt").plain().startswith(b"The MIT License")
    assert sum(file.file.stat().st_size for file in viewer._files.values()) < 15e6


def test_no_viewer(tmp_path) -> None:
    assert not Viewer(tmp_path).installed
    (tmp_path / "contents.json").write_text(json.dumps({"version": "1", "files": {}}))
    assert Viewer(tmp_path).find("../contents.json") is None


def test_files_are_gzipped_alike_each_time(viewer) -> None:
    file = viewer.find("boot.js")
    assert file.gzipped() == gzip.compress(file.plain(), 9, mtime=0)
    assert (file.mimetype, file.immutable, file.worker) == ("text/javascript", False, False)
