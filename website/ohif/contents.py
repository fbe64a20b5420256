"""What a prepared folder holds: the list of files is the list of what may be served."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

CONTENTS = "contents.json"
MIMETYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonc": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webapp": "application/json",
    ".woff2": "font/woff2",
    ".xml": "text/xml",
}


@dataclass(frozen=True)
class ViewerFile:
    """One file of the viewer.

    Attributes
    ----------
    immutable
        Its name holds a hash of its content.
    worker
        It runs as a worker, under the policy of its own answer.
    """

    path: str
    file: Path
    etag: str
    immutable: bool
    worker: bool

    @property
    def mimetype(self) -> str:
        """Its media type."""
        return MIMETYPES[Path(self.path).suffix]

    def gzipped(self) -> bytes:
        """Return its content as it lies there."""
        return self.file.read_bytes()

    def plain(self) -> bytes:
        """Return its content for a client that takes no gzip."""
        return gzip.decompress(self.gzipped())


class Viewer:
    """The prepared files by path; none where no viewer is installed."""

    def __init__(self, folder: Path) -> None:
        self.version, self._files = "", dict[str, ViewerFile]()
        try:
            contents = json.loads((folder / CONTENTS).read_text())
        except FileNotFoundError:
            return
        self.version = contents["version"]
        self._files = {
            path: ViewerFile(path, folder / f"{path}.gz", each["etag"], each["immutable"], each["worker"])
            for path, each in contents["files"].items()
        }

    @property
    def installed(self) -> bool:
        """Tell whether there is one."""
        return bool(self._files)

    def find(self, path: str) -> ViewerFile | None:
        """Return a file; None for whatever is not in the list."""
        return self._files.get(path)
