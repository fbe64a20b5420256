"""The files that the demo sends: real studies that come with ``pydicom`` and ``pydicom-data``."""

from __future__ import annotations

import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom

from common.errors import ConfigurationError

_LIST = Path(__file__).parent / "samples.txt"


@dataclass(frozen=True)
class Sample:
    """One file, with what the sender needs to know of it."""

    path: Path
    sop_instance_uid: str
    transfer_syntax: str


def sample_paths() -> list[Path]:
    """Return the files of the list.

    Raises
    ------
    ConfigurationError
        Some are not installed.
    """
    root = Path(sysconfig.get_paths()["purelib"])
    names = [line for line in _LIST.read_text().splitlines() if line and not line.startswith("#")]
    missing = [name for name in names if not (root / name).exists()]
    if missing:
        raise ConfigurationError(f"{len(missing)} sample files are missing ({missing[0]}, …): run make setup-run")
    return [root / name for name in names]


def read_samples(paths: Sequence[Path]) -> list[Sample]:
    """Read what the sender needs from the headers of some files."""
    samples = []
    for path in paths:
        meta = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        samples.append(Sample(path, str(meta.SOPInstanceUID), str(meta.file_meta.TransferSyntaxUID)))
    return samples
