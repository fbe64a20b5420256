#!/usr/bin/env python3
"""Take out of an installed virtual environment what no process of ours can reach: the last step of an image's build.

What goes: test suites and caches, AWS services that we never call, programs and languages of bindings that are not
Python's, the copies of one shared object under several names (a wheel cannot hold symbolic links, so these come back as
links), and the symbols for debuggers of the largest. What remains is what the lock file's hashes vouched for. Run as
``slim.py FOLDER``, where binutils is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: The services of Amazon that ``boto3`` is asked for, and what logging in to them takes.
AWS_SERVICES = {"s3", "sts", "rekognition", "cognito-idp", "sso", "sso-oidc", "signin", "kms", "secretsmanager"}

USELESS = (
    "**/tests",
    "**/__pycache__",
    "flask_bootstrap/static/bootstrap4",
    "flask_bootstrap/static/**/bootswatch",
    # The standard's dictionary, which we have of pydicom.
    "_gdcm/XML",
    "pydicom/data/test_files",
    # Codes of structured reports, for those who write them.
    "pydicom/sr",
    # What rich colours source code with; nobody asks it to.
    "pygments",
    "boto3/examples",
    "numpy/f2py",
    "numpy/**/*.pyi",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/random/lib",
    # The C library beside the extension module, which holds it whole.
    "onnxruntime/capi/libonnxruntime.so*",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "PIL/_avif*.so",
    "pillow.libs/libavif*",
)

#: Most of these is symbols that only a debugger reads: five sixths of the codecs, two thirds of spaCy's modules.
STRIPPED = ("_CharLS*.so", "_openjpeg*.so", *(f"{name}/**/*.so" for name in ("spacy", "thinc", "blis", "srsly")))


def main() -> None:
    """Slim the packages below the folder given."""
    for folder in packages(Path(sys.argv[1])):
        before = size(folder)
        remove_useless(folder)
        remove_services(folder / "botocore" / "data")
        link_copies(folder)
        strip(folder)
        print(f"{folder}: {before >> 20} MB, now {size(folder) >> 20} MB")


def packages(folder: Path) -> Iterator[Path]:
    """Yield the folders of installed packages: of a virtual environment, or the folder itself (``--target``)."""
    yield from list(folder.glob("lib/python3*/site-packages")) or [folder]


def size(folder: Path) -> int:
    """Sum the bytes of all files."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def remove_useless(folder: Path) -> None:
    """Remove what the patterns name, and GDCM's programs, which have no suffix beside its modules."""
    programs = [file for file in folder.glob("_gdcm/gdcm*") if file.is_file() and not file.suffix]
    for path in programs + [path for pattern in USELESS for path in folder.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove_services(data: Path) -> None:
    """Remove the descriptions of the AWS services that are not called."""
    for service in data.glob("*"):
        if service.is_dir() and service.name not in AWS_SERVICES:
            shutil.rmtree(service)


def link_copies(folder: Path) -> None:
    """Replace equal shared objects of one folder by links to the longest name."""
    seen: dict[tuple[Path, bytes], Path] = {}
    for file in sorted(folder.rglob("*.so*"), key=lambda path: (-len(path.name), path.name)):
        if file.is_symlink() or not file.is_file():
            continue
        first = seen.setdefault((file.parent, file.read_bytes()), file)
        if first != file:
            file.unlink()
            file.symlink_to(first.name)


def strip(folder: Path) -> None:
    """Remove the symbols that nothing is linked by."""
    for file in (file for pattern in STRIPPED for file in folder.glob(pattern)):
        subprocess.run(["strip", "--strip-unneeded", file], check=True)


if __name__ == "__main__":
    main()
