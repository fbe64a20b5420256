r"""Make the data files of this folder from the tables of the standard.

Run by hand for a new edition of the standard, never at run time::

    python -m deidentifier.profiles.build_tables --profile E.1-1.csv --safe-private E.3.10-1.csv \
        --concepts E.3.4-1.csv --modules folder/of/highdicom/_standard --edition 2026c

``--profile``, ``--safe-private`` and ``--concepts`` are tables E.1-1, E.3.10-1 and E.3.4-1 of PS3.15 as CSV; the
types of attributes (PS3.3) come from the JSON tables in the package ``highdicom``.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping as snomed

from common.tags import keyword_of, keywords

FOLDER = Path(__file__).parent
# Columns of table E.1-1 that stand for an option of the profile, by the option's name in the rules file.
OPTIONS = {
    "retain_safe_private": "RetainSafePrivate",
    "retain_uids": "RetainUIDs",
    "retain_device": "RetainDeviceIdentity",
    "retain_institution": "RetainInstitutionIdentity",
    "retain_patient_characteristics": "RetainPatientCharacteristics",
    "retain_full_dates": "RetainLongitudinalFullDates",
    "retain_modified_dates": "RetainLongitudinalModifiedDates",
    "clean_descriptors": "CleanDescriptors",
    "clean_structured_content": "CleanStructuredContent",
    "clean_graphics": "CleanGraphics",
}
_CONCEPT_COLUMNS = {
    "Rtn. UIDs Opt.": "RetainUIDs",
    "Rtn. Dev. Id. Opt.": "RetainDeviceIdentity",
    "Rtn. Inst. Id. Opt.": "RetainInstitutionIdentity",
    "Rtn. Pat. Chars. Opt.": "RetainPatientCharacteristics",
    "Rtn. Long. Full Dates Opt.": "RetainLongitudinalFullDates",
    "Rtn. Long. Modif. Dates Opt.": "RetainLongitudinalModifiedDates",
    "Clean Desc. Opt.": "CleanDescriptors",
}
# The strictest type of an attribute decides when several modules of an IOD hold it (PS3.5 7.4).
_STRICTNESS = {"1": 0, "1C": 1, "2": 2, "2C": 3, "3": 4}


def build_actions(rows: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Turn table E.1-1 into a row per attribute: tag (``x`` any digit), keyword, action, action under each option."""
    for row in rows:
        tag = row["tag"]
        keyword = keyword_of(int(tag, 16)) if re.fullmatch("[0-9A-F]{8}", tag) else ""
        # A star (U*, C*) marks a note of the standard that the code follows, not another action.
        actions = {name: row[column].replace("*", "") for column, name in OPTIONS.items()}
        yield {"Tag": tag, "Keyword": keyword, "Basic": row["basic"].replace("*", ""), **actions}


def build_safe_private(rows: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Turn table E.3.10-1 into rows of creator, group, offset in the block and VR."""
    for row in rows:
        match = re.fullmatch(r"\(([0-9A-F]{4}),xx([0-9A-F]{2})\)", row["tag"], re.IGNORECASE)
        if match:
            yield {
                "Creator": row["private_creator"],
                "Group": match[1].upper(),
                "Offset": match[2].upper(),
                "VR": row["vr"],
            }


def build_concepts(rows: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Turn table E.3.4-1 into rows of scheme, code, value type, action and action under each option."""
    for row in rows:
        actions = {name: row[column].strip() for column, name in _CONCEPT_COLUMNS.items()}
        yield {
            "Scheme": row["Coding Scheme Designator"],
            "Code": row["Code Value"],
            "ValueType": row["Value Type"],
            "Basic": row["Basic Prof."].strip(),
            **actions,
        }


def build_types(folder: Path, wanted: set[str]) -> dict[str, Any]:
    """Reduce the module tables to the attributes of the profile.

    Returns
    -------
    dict
        ``sop_classes``: SOP class UID to IOD; ``iods``: IOD to names of modules; ``modules``: module to
        ``{"SequenceKeyword.Keyword": type}``, for profile attributes alone.
    """
    attributes = json.loads((folder / "module_attribute_map.json").read_text())
    iods = json.loads((folder / "iod_module_map.json").read_text())
    modules = {name: _types_of_module(rows, wanted) for name, rows in attributes.items()}
    modules = {name: types for name, types in modules.items() if types}
    return {
        "sop_classes": json.loads((folder / "sop_class_iod_map.json").read_text()),
        "iods": {iod: sorted({row["key"] for row in rows} & set(modules)) for iod, rows in sorted(iods.items())},
        "modules": dict(sorted(modules.items())),
    }


def build_code_words() -> str:
    """Return the words in the meanings of standard codes, but for those that stand there with a capital alone.

    Names of people in terms (Baker's cyst) are written with a capital, so they stay out.
    """
    codings: dict[str, dict[str, dict[str, tuple[str, ...]]]] = concepts  # type: ignore[assignment]
    meanings = (meaning for codes in codings.values() for found in codes.values() for meaning, *_ in found.values())
    words = {word for meaning in meanings for word in re.findall(r"[A-Za-z]+", meaning) if len(word) > 2}
    return textwrap.fill(" ".join(sorted(word for word in words if word.islower())), 120)


def build_code_meanings() -> Iterator[str]:
    """Yield scheme, code and meaning of standard codes; those of SNOMED with the codes that it had before, too."""
    codings: dict[str, dict[str, dict[str, tuple[str, ...]]]] = concepts  # type: ignore[assignment]
    former: dict[str, list[str]] = {}
    for old, new in snomed["SRT"].items():
        former.setdefault(new, []).append(old)
    for scheme, codes in sorted(codings.items()):
        for code, (meaning, *_) in sorted((code, found) for each in codes.values() for code, found in each.items()):
            yield f"{scheme}\t{code}\t{meaning}"
            yield from (f"SRT\t{old}\t{meaning}" for old in former.get(code, ()) if scheme == "SCT")


def _types_of_module(rows: Iterable[dict[str, Any]], wanted: set[str]) -> dict[str, str]:
    types: dict[str, str] = {}
    for row in rows:
        if row["keyword"] not in wanted or row["type"] not in _STRICTNESS:
            continue
        path = ".".join([*row["path"], row["keyword"]])
        types[path] = min(types.get(path, "3"), row["type"], key=_STRICTNESS.__getitem__)
    return dict(sorted(types.items()))


def _read(file: Path) -> Iterator[dict[str, str]]:
    with file.open(newline="") as stream:
        yield from csv.DictReader(stream)


def _write(name: str, edition: str, rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    found = list(rows)
    with (FOLDER / name).open("w", newline="") as stream:
        stream.write(f"# PS3.15, edition {edition}; made by build_tables.py\n")
        writer = csv.DictWriter(stream, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    return found


def main() -> None:
    """Read the tables named on the command line and write the data files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    for name in ("profile", "safe-private", "concepts", "modules"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--edition", required=True)
    arguments = parser.parse_args()
    actions = _write("confidentiality.csv", arguments.edition, build_actions(_read(arguments.profile)))
    _write("safe-private.csv", arguments.edition, build_safe_private(_read(arguments.safe_private)))
    _write("concepts.csv", arguments.edition, build_concepts(_read(arguments.concepts)))
    heading = "# Words in the meanings of codes of DCM, SCT, LN and others (by pydicom); made by build_tables.py\n"
    (FOLDER / "code-words.txt").write_text(heading + build_code_words() + "\n")
    heading = "# Coding scheme, code and meaning in PS3.16 (by pydicom); made by build_tables.py\n"
    lines = "\n".join(dict.fromkeys(build_code_meanings()))
    (FOLDER / "code-meanings.txt").write_text(f"{heading}{lines}\n", encoding="utf-8")
    types = build_types(arguments.modules, {row["Keyword"] for row in actions if row["Keyword"] in keywords()})
    (FOLDER / "attribute-types.json").write_text(json.dumps(types, indent=0, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
