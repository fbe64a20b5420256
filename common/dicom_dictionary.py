"""pydicom's tables of PS3.6 and of private elements, without the rest of pydicom.

Importing anything of pydicom imports NumPy and its codecs as well, which is most of a command's start (0.3 s); rules
that touch no pixels need only the dictionaries, which are plain data in modules of their own.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import cast

Row = tuple[str, str, str, str, str]
"""VR, VM, name, whether it is retired, keyword; of a UID: name, type, further information, retired, keyword."""


def _load(name: str) -> ModuleType:
    """Import a module of pydicom's without its package; whoever imports it later by its name gets the same one."""
    full = f"pydicom.{name}"
    package = find_spec("pydicom")
    spec = PathFinder.find_spec(full, package.submodule_search_locations if package else None)
    if full in sys.modules or spec is None or spec.loader is None:
        return import_module(full)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return sys.modules.setdefault(full, module)


_elements = _load("_dicom_dict")
DicomDictionary: dict[int, Row] = _elements.DicomDictionary
"""Rows by tag (PS3.6 6, 7, 8)."""
RepeatersDictionary: dict[str, Row] = _elements.RepeatersDictionary
"""Rows of repeating groups, by masks such as ``60xx3000``."""


@cache
def uids() -> dict[str, Row]:
    """Return the registered UIDs (PS3.6 A)."""
    return cast(dict[str, Row], _load("_uid_dict").UID_dictionary)


@cache
def _private_creators() -> frozenset[str]:
    return frozenset(_load("_private_dict").private_dictionaries)


def row_of(tag: int) -> Row | None:
    """Return the row of a standard element, of a repeating group too; None where the standard has none."""
    return DicomDictionary.get(tag) or next(
        (row for fixed, free, row in _repeaters() if (tag ^ fixed) & ~free == 0), None
    )


@cache
def _repeaters() -> list[tuple[int, int, Row]]:
    """Return the digits that are fixed, the bits that are free, and the row of each repeating group's element."""
    return [
        (int(mask.replace("x", "0"), 16), int("".join("F" if digit == "x" else "0" for digit in mask), 16), row)
        for mask, row in RepeatersDictionary.items()
    ]


def private_vr_of(tag: int, creator: str) -> str:
    """Return the VR of a private element in the block of a creator; empty where pydicom's dictionary has none."""
    if creator not in _private_creators():
        return ""
    from pydicom.datadict import private_dictionary_VR

    try:
        return str(private_dictionary_VR(tag, creator))
    except KeyError:
        return ""
