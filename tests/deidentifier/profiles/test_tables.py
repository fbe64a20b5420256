"""Every row of the profile's table, in every option column; how types decide; the safe private elements."""

import itertools
import re

import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c
from pydicom.datadict import dictionary_VR

from common.tags import parse_tag, parse_tag_path
from deidentifier.profiles.tables import (
    COLUMNS,
    Action,
    ProfileTable,
    attribute_types,
    read_rows,
    read_safe_private,
    resolve,
)

ROWS = read_rows()
BASIC = ProfileTable([])
CT = "1.2.840.10008.5.1.4.1.1.2"


def vr_of(row):
    return dictionary_VR(int(row.tag, 16)) if row.keyword else "LO"


def test_the_table_is_whole():
    assert len(ROWS) > 640
    assert {row.basic for row in ROWS} == {"X", "Z", "D", "U", "X/Z", "X/D", "X/Z/D", "X/Z/U", "Z/D"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.tag}-{row.keyword}")
def test_row_of_the_basic_profile(row):
    tag = int(row.tag.replace("X", "0"), 16)
    for kind in "123":
        action = BASIC.action(tag, vr_of(row), kind)
        assert action is resolve(row.basic, kind)
        assert action is not Action.KEEP or row.basic == "X/Z/U"


@pytest.mark.parametrize(
    ("row", "option"),
    [(row, option) for row, option in itertools.product(ROWS, COLUMNS) if option in row.options],
    ids=lambda value: value if isinstance(value, str) else value.tag,
)
def test_row_under_an_option(row, option):
    tag = int(row.tag.replace("X", "0"), 16)
    action = ProfileTable([option]).action(tag, vr_of(row), "3")
    if row.options[option] == "K":
        assert action is Action.KEEP
    else:
        assert row.options[option] == "C"
        moved = option == "RetainLongitudinalModifiedDates" and vr_of(row) in {"DA", "DT", "TM"}
        assert action is (Action.SHIFT if moved else Action.CLEAN)


@pytest.mark.parametrize("option", COLUMNS)
def test_an_option_changes_only_its_rows(option):
    table = ProfileTable([option])
    for row in ROWS:
        if option not in row.options:
            tag = int(row.tag.replace("X", "0"), 16)
            assert table.code(tag) == BASIC.code(tag)


def test_cleaning_wins_over_keeping():
    both = [row for row in ROWS if {"K", "C"} <= set(row.options.values())]
    assert both
    for row in both:
        assert row.code(COLUMNS) == "C"


@pytest.mark.parametrize(
    ("code", "kind", "action"),
    [
        ("X", "3", Action.REMOVE),
        ("X", "2", Action.EMPTY),
        ("X", "1", Action.DUMMY),
        ("Z", "3", Action.EMPTY),
        ("Z", "2", Action.EMPTY),
        ("Z", "1", Action.DUMMY),
        ("D", "3", Action.DUMMY),
        ("D", "2", Action.DUMMY),
        ("U", "3", Action.UID),
        ("U", "1", Action.UID),
        ("X/Z", "3", Action.REMOVE),
        ("X/Z", "2", Action.EMPTY),
        ("X/D", "3", Action.REMOVE),
        ("X/D", "2", Action.DUMMY),
        ("X/D", "1", Action.DUMMY),
        ("X/Z/D", "3", Action.REMOVE),
        ("X/Z/D", "2", Action.EMPTY),
        ("X/Z/D", "1", Action.DUMMY),
        ("Z/D", "2", Action.EMPTY),
        ("Z/D", "1", Action.DUMMY),
        ("X/Z/U", "3", Action.REMOVE),
        ("X/Z/U", "2", Action.EMPTY),
        ("X/Z/U", "1", Action.KEEP),
    ],
)
def test_type_decides(code, kind, action):
    assert resolve(code, kind) is action


def test_repeating_groups():
    for tag in (0x50000010, 0x501E3000, 0x60003000, 0x60FE4000):
        assert BASIC.action(tag, "OW", "3") is Action.REMOVE
    assert BASIC.code(0x60000010) is None, "rows of an overlay are no secret; the overlay's data go"


def test_what_the_table_does_not_name_stays():
    assert BASIC.action(parse_tag("Rows"), "US", "1") is Action.KEEP
    assert BASIC.action(parse_tag("Modality"), "CS", "1") is Action.KEEP


def test_types_by_iod():
    types = attribute_types()
    assert types.knows(CT)
    assert not types.knows("1.2.3.4")
    assert types.type_of(CT, parse_tag_path("PatientName")) == "2"
    assert types.type_of(CT, parse_tag_path("SOPInstanceUID")) == "1"
    assert types.type_of(CT, parse_tag_path("OperatorsName")) == "3"
    assert types.type_of("1.2.3.4", parse_tag_path("PatientName")) == "3"


def test_safe_private_elements():
    table = ProfileTable(["RetainSafePrivate"])
    assert len(read_safe_private()) > 400
    assert table.keeps_private("Philips PET Private Group", 0x70531000)
    assert table.keeps_private("Philips PET Private Group ", 0x70531100), "in whichever block it stands"
    assert not table.keeps_private("Philips PET Private Group", 0x70531001)
    assert not table.keeps_private("SOMEBODY", 0x70531000)
    assert not BASIC.keeps_private("Philips PET Private Group", 0x70531000)


def theirs():
    """Return the basic column as the package dicom-anonymizer has it: tag with X for any digit, to code."""
    # A star marks a note of the standard that the code follows.
    lists = {
        name.removesuffix("_TAGS").removesuffix("_STAR").replace("_", "/"): getattr(dicomfields_2026c, name)
        for name in CODES_OF_THEIRS
    }
    found = {}
    for code, tags in lists.items():
        for tag in tags:
            # A repeating group is written (group, element, mask of the group, mask of the element).
            digits = f"{tag[0]:04X}{tag[1]:04X}"
            if len(tag) > 2:
                masks = f"{tag[2]:04X}{tag[3]:04X}"
                digits = "".join(digit if mask == "F" else "X" for digit, mask in zip(digits, masks, strict=True))
            found[digits] = code
    return found


CODES_OF_THEIRS = tuple(name for name in dir(dicomfields_2026c) if re.fullmatch(r"[XZDU](_[ZDUX])*(_STAR)?_TAGS", name))


def test_the_basic_column_is_that_of_another_implementation():
    assert {row.tag: row.basic for row in ROWS} == theirs()
