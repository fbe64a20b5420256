"""The tables are pydicom's, reached without pydicom."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, keyword_for_tag, private_dictionary_VR
from pydicom.valuerep import VR

from common.dicom_dictionary import DicomDictionary, RepeatersDictionary, private_vr_of, row_of, uids
from common.dicom_head import VALUE_REPRESENTATIONS
from common.dicom_text import encodings_of

REPEATED = [int(mask.replace("x", digit), 16) for mask in RepeatersDictionary for digit in "02e"]


def test_rows_are_those_that_pydicom_finds() -> None:
    for tag in [*list(DicomDictionary)[::37], *REPEATED]:
        row = row_of(tag)
        assert row is not None
        assert (row[0], row[4]) == (dictionary_VR(tag), keyword_for_tag(tag))


@pytest.mark.parametrize("tag", [0x00100000, 0x00080002, 0x60011234, 0x12345678])
def test_what_the_standard_has_not_has_no_row(tag: int) -> None:
    assert row_of(tag) is None
    assert not keyword_for_tag(tag)


def test_private_elements_have_the_vr_of_pydicoms_dictionary() -> None:
    assert private_vr_of(0x00291008, "SIEMENS CSA HEADER") == private_dictionary_VR(0x00291008, "SIEMENS CSA HEADER")
    assert private_vr_of(0x002910FF, "SIEMENS CSA HEADER") == ""
    assert private_vr_of(0x00291008, "NOBODY") == ""


def test_uids_are_the_registered_ones() -> None:
    assert uids()["1.2.840.10008.5.1.4.1.1.2"][0] == "CT Image Storage"


def test_value_representations_are_pydicoms() -> None:
    assert {vr.value for vr in VR if len(vr.value) == 2} == VALUE_REPRESENTATIONS


@pytest.mark.parametrize("term", ["", "ISO_IR 6", "ISO_IR 100", "ISO_IR 192", "ISO_IR 101", "GB18030"])
def test_frequent_character_sets_are_read_as_by_pydicom(term: str) -> None:
    assert encodings_of(term.encode()) == tuple(convert_encodings([term]))


def test_pydicom_can_be_imported_afterwards_and_shares_the_tables() -> None:
    program = (
        "import sys; from common.dicom_dictionary import DicomDictionary as ours; assert 'pydicom' not in sys.modules;"
        "from pydicom.datadict import DicomDictionary as theirs; assert ours is theirs; import pydicom.uid"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
