"""From the package's files to those under ``/viewer/``: what is left out, what is replaced, how often.

OHIF is built for the root of a site. Each replacement says in how many files and how often it must be found; any other
count means that the version changed, and stops the build.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import ConfigurationError
from website.ohif import MOUNT

ROOT = "package/dist/"
"""Where the files of the viewer lie in the tarball."""

# Not asked for by any kind of image that was tried (doc/decisions/0120): models for segmentation and the microscopy
# viewer (156 of 204 MB), a service worker that loads code from another site, polyfills and tools for other ways to
# serve it.
_LEFT_OUT = re.compile(
    r"ort/|dicom-microscopy-viewer/|_headers$|_redirects$|serve\.json$|app-config\.js$|.*\.map$"
    r"|(sw|init-service-worker|google|oidc-client\.min|es6-shim\.min|polyfill\.min)\.js$|silent-refresh\.html$"
    r"|assets/apple-touch-startup-image-.*"
)
_ADDED = ("boot.js", "app-config.js")


@dataclass(frozen=True)
class Replacement:
    """A text to be replaced in the files whose path matches, ``count`` times in all, in ``files`` of them."""

    paths: str
    old: str
    new: str
    count: int
    files: int = 1
    regular: bool = False

    def find(self) -> re.Pattern[bytes]:
        """Return what is searched."""
        return re.compile((self.old if self.regular else re.escape(self.old)).encode(), re.DOTALL)


_PUBLIC_PATH = '__webpack_require__.p = "/";'
REPLACEMENTS = (
    # Where webpack looks for chunks and WebAssembly: in the application, and in each bundle that runs as a worker.
    Replacement(r".*\.js", _PUBLIC_PATH, f'__webpack_require__.p = "{MOUNT}";', count=8, files=8),
    Replacement(
        r"app\.bundle\..*\.js",
        "'/dicom-microscopy-viewer/dicomMicroscopyViewer.min.js'",
        f"'{MOUNT}dicom-microscopy-viewer/dicomMicroscopyViewer.min.js'",
        count=1,
    ),
    Replacement(r"app\.bundle\.css", "url(/", f"url({MOUNT}", count=5),
    Replacement(r"(assets/yandex-browser-)?manifest\.json", '"/assets/', f'"{MOUNT}assets/', count=10, files=2),
    # The policy allows no inline script: boot.js says what these two said.
    Replacement(r"index\.html", r"<script>(?:(?!</script>).)*</script>", "", count=2, regular=True),
    Replacement(r"index\.html", r'<script [^>]*src="/init-service-worker\.js"></script>', "", count=1, regular=True),
    Replacement(r"index\.html", r'<link rel="apple-touch-startup-image"[^>]*>', "", count=10, regular=True),
    Replacement(r"index\.html", '="/', f'="{MOUNT}', count=22),
    Replacement(
        r"index\.html",
        f'<script rel="preload" as="script" src="{MOUNT}app-config.js">',
        f'<script src="{MOUNT}boot.js"></script><script src="{MOUNT}app-config.js">',
        count=1,
    ),
)


@dataclass
class Preparation:
    """Prepares files one by one; :meth:`check` at the end holds the counts to what they must be."""

    workers: set[str] = field(default_factory=set)
    _counts: Counter[Replacement] = field(default_factory=Counter)
    _files: Counter[Replacement] = field(default_factory=Counter)

    def is_wanted(self, path: str) -> bool:
        """Tell whether a file of the package, by its path under ``dist/``, is served."""
        return not _LEFT_OUT.match(path)

    def prepare(self, path: str, data: bytes) -> bytes:
        """Return a file as it is served."""
        for replacement in REPLACEMENTS:
            if not re.fullmatch(replacement.paths, path):
                continue
            data, found = replacement.find().subn(replacement.new.replace("\\", r"\\").encode(), data)
            self._counts[replacement] += found
            self._files[replacement] += bool(found)
            if found and replacement.old == _PUBLIC_PATH and not path.startswith("app.bundle."):
                self.workers.add(path)
        return data

    def check(self) -> None:
        """Raise :class:`ConfigurationError` with every replacement that was not made just as often as it must be."""
        wrong = [
            f"{each.old!r} in {each.paths}: found {self._counts[each]} times in {self._files[each]} files, expected"
            f" {each.count} times in {each.files}"
            for each in REPLACEMENTS
            if (self._counts[each], self._files[each]) != (each.count, each.files)
        ]
        if wrong:
            raise ConfigurationError(["OHIF is not what website/ohif/prepare.py was written for:", *wrong])


def added_files() -> dict[str, bytes]:
    """Return the files of our own that go with it."""
    return {name: Path(__file__).with_name(name).read_bytes() for name in _ADDED}
