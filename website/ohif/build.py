"""Fetch OHIF and prepare it for the portal: ``python -m website.ohif.build [FOLDER]``.

The folder then holds each file gzipped, and ``contents.json``, which says what each is. Nothing is done where the
folder holds the same already. Exit code 2 where it cannot be made: the portal works without it, and says so.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from common.errors import ConfigurationError
from website.ohif import DEFAULT_FOLDER
from website.ohif.contents import CONTENTS, MIMETYPES
from website.ohif.package import INTEGRITY, NAME, VERSION, fetch
from website.ohif.prepare import ROOT, Preparation, added_files

_HASHED = re.compile(r"(.*\.)?[0-9a-f]{16}\.(js|wasm|woff2)")
_LARGE = 3_000_000
_SOURCES = ("prepare.py", "build.py", "boot.js", "app-config.js")


def build(folder: Path) -> bool:
    """Make the folder; returns False where it was there already.

    Raises
    ------
    ConfigurationError
        The package cannot be fetched, or is not what it was.
    OSError
        The folder cannot be written.
    """
    version = _fingerprint()
    if _built(folder) == version:
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".ohif-") as made, tempfile.TemporaryFile() as tarball:
        fetch(tarball)
        target = Path(made) / "new"
        with tarfile.open(fileobj=tarball) as archive:
            files = _unpack(archive, target)
        (target / CONTENTS).write_text(json.dumps({"version": VERSION, "built": version, "files": files}, indent=1))
        if folder.exists():
            folder.rename(Path(made) / "old")
        target.rename(folder)
    return True


def _fingerprint() -> str:
    """Return what the result depends on, as a hash: the package and our own sources."""
    here = Path(__file__).parent
    sources = b"".join((here / name).read_bytes() for name in _SOURCES)
    return hashlib.sha256(INTEGRITY.encode() + sources).hexdigest()


def _built(folder: Path) -> str:
    try:
        return str(json.loads((folder / CONTENTS).read_text())["built"])
    except (OSError, ValueError, KeyError):
        return ""


def _unpack(archive: tarfile.TarFile, target: Path) -> dict[str, dict[str, Any]]:
    preparation = Preparation()
    files = {"LICENSE.txt": _keep(target, "LICENSE.txt", _read(archive, archive.getmember("package/LICENSE")))}
    for member in archive:
        path = member.name.removeprefix(ROOT)
        if member.isfile() and member.name.startswith(ROOT) and preparation.is_wanted(path):
            files[path] = _keep(target, path, preparation.prepare(path, _read(archive, member)))
    preparation.check()
    files |= {path: _keep(target, path, data) for path, data in added_files().items()}
    for path in preparation.workers:
        files[path]["worker"] = True
    return files


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with archive.extractfile(member) or gzip.open("/dev/null") as file:
        return file.read()


def _keep(target: Path, path: str, data: bytes) -> dict[str, Any]:
    """Write one file gzipped; returns its entry."""
    file = target / f"{path}.gz"
    if not file.resolve().is_relative_to(target.resolve()) or Path(path).suffix not in MIMETYPES:
        raise ConfigurationError(f"the package has a file that nothing is known of: {path}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(data, 6 if len(data) > _LARGE else 9, mtime=0))
    hashed = bool(_HASHED.fullmatch(path))
    return {"size": len(data), "immutable": hashed, "etag": hashlib.sha256(data).hexdigest()[:32], "worker": False}


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m website.ohif.build", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER")
    parser.add_argument("--remove", action="store_true", help="remove the folder instead")
    arguments = parser.parse_args(argv)
    if arguments.remove:
        shutil.rmtree(arguments.folder, ignore_errors=True)
        return 0
    try:
        made = build(arguments.folder)
    except (ConfigurationError, OSError) as exc:
        print(f"The viewer was not installed: {exc}", file=sys.stderr)
        return 2
    print(f"{NAME} {VERSION} {'is' if made else 'was already'} in {arguments.folder}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
