"""Codes and their meanings: what the standard says for a code tells nothing, whatever words it is made of (PS3.16)."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from deidentifier.profiles.spelling import fold
from deidentifier.profiles.treatments import Then, replace_by_dummy

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork

_VALUES, _SCHEME = (0x00080100, 0x00080119), 0x00080102
_NUMERIC = re.compile(r"\d{6,18}")
_SHAPES = {
    "SCT": _NUMERIC,
    "DCM": re.compile(
        r"\d{5,6}|[A-Z][A-Z0-9]{0,2}|ARCHIVE|ASMT|BDUS|CAPTURE|COMP|CTPROTOCOL|DOCD|FILMD|IVOCT|IVUS|Margin|MEDIM"
        r"|NEARLINE|OFFLINE|ONLINE|OPTBSV|OPTENF|PLAN|PRINT|RESP|RTDOSE|RTIMAGE|RTPLAN|RTRAD|RTRECORD|RTSEGANN|RTSTRUCT"
        r"|STAIN|TEXTUREMAP|UNAVAILABLE|VIDD"
    ),
    "SRT": re.compile(r"[A-Z]\d?-[0-9A-F]{4,7}"),
    "SNM3": re.compile(r"[A-Z]\d?-[0-9A-F]{4,7}"),
    "99SDM": re.compile(r"[A-Z]\d?-[0-9A-F]{4,7}"),
    "LN": re.compile(r"\d{1,6}-\d"),
    # Units are short; annotations, in braces, hardly longer.
    "UCUM": re.compile(r"(?:[A-Za-z]{1,5}(?![A-Za-z])|\{[^{}\\^]{1,18}\}|\[[^\[\]\\^]{1,8}\]|[\d.%/*'()+µ-])+"),
    "NCIt": re.compile(r"C\d{3,6}"),
    "UMLS": re.compile(r"C\d{7}"),
    "FMA": re.compile(r"\d{1,6}"),
    "RADLEX": re.compile(r"RID\d{1,6}"),
    "MDC": re.compile(r"(\d{1,2}:)?\d{1,6}"),
    "SCPECG": re.compile(r"\d(\.\d){1,2}-\d{1,2}-\d{1,3}"),
    "I10": re.compile(r"[A-Z]\d{2}(\.\w{1,4})?"),
    "I9C": re.compile(r"[VE]?\d{1,3}(\.\d{1,2})?"),
    "C4": re.compile(r"\d{5}|\d{4}[A-Z]"),
    "RXNORM": re.compile(r"\d{1,7}"),
    "ITIS_TSN": re.compile(r"\d{5,6}"),
    "IBSI": re.compile(r"[0-9A-Z]{4}"),
    "NEU": re.compile(r"\d{1,4}"),
    "ACR": re.compile(r"\d{1,5}(\.\d{1,5})?"),
}


@cache
def standard_meanings() -> frozenset[tuple[str, str, str]]:
    """Read schemes, codes and folded meanings of the standard: some 30,000, read when one is asked for."""
    lines = (Path(__file__).parent / "code-meanings.txt").read_text(encoding="utf-8").splitlines()
    found = (line.split("\t") for line in lines if not line.startswith("#"))
    return frozenset((scheme, code, _plain(meaning)) for scheme, code, meaning in found)


@cache
def standard_codes() -> frozenset[tuple[str, str]]:
    """Return schemes and codes of the standard."""
    return frozenset((scheme, code) for scheme, code, _ in standard_meanings())


def _plain(meaning: str) -> str:
    return " ".join(fold(meaning).split())


def clean_code_value(element: ElementInWork) -> None:
    """Keep a code of the standard, and one of its scheme's shape; of a scheme of one's own, one of harmless words."""
    scheme, identity = element.sibling(_SCHEME), element.identity
    shape = _SHAPES.get(scheme)

    def clean(value: str, _: ElementInWork) -> str:
        if shape is None:
            stays = identity.clean(value) == value or (scheme, value) in standard_codes()
        else:
            stays = bool(shape.fullmatch(value)) or (scheme, value) in standard_codes()
        return value if stays and not identity.names(value) else ""

    Then(lambda each: each.replace_values(clean), replace_by_dummy)(element)


def clean_code_meaning(element: ElementInWork) -> None:
    """Keep the meaning that the standard gives for the code, and a unit that is its own; of others, harmless words."""
    identity = element.identity

    def clean(value: str, _: ElementInWork) -> str:
        cleaned = identity.clean(value)
        return value if cleaned != value and not identity.names(value) and _is_standard(element, value) else cleaned

    Then(lambda each: each.replace_values(clean), replace_by_dummy)(element)


def _is_standard(element: ElementInWork, meaning: str) -> bool:
    scheme = element.sibling(_SCHEME)
    scheme = "SRT" if scheme in ("SNM3", "99SDM") else scheme
    codes = [code for tag in _VALUES if (code := element.sibling(tag))]
    if scheme == "UCUM" and meaning in codes and _SHAPES["UCUM"].fullmatch(meaning):
        return True
    return any((scheme, code, _plain(meaning)) in standard_meanings() for code in codes)
