"""Codes of the standard keep their meanings, whatever words these are made of; codes of one's own do not."""

import pytest

from deidentifier.profiles.clean_text import clean_text
from deidentifier.profiles.codes import standard_codes, standard_meanings
from tests.deidentifier.profiles.test_profile import engine, instance, item, run


def meaning(scheme, code, text, keyword="CodeValue", **header):
    coded = item(**{keyword: code, "CodingSchemeDesignator": scheme, "CodeMeaning": text})
    found = run(engine("CleanDescriptors"), instance(MeasurementUnitsCodeSequence=[coded], **header))
    return found.MeasurementUnitsCodeSequence[0].CodeMeaning


@pytest.mark.parametrize(
    ("scheme", "code", "text"),
    [
        ("DCM", "113906", "Accumulated CTDIvol Forward Estimate"),
        ("DCM", "128513", "Absorbed Dose"),
        ("DCM", "113683", "ACR Accreditation Phantom - MR"),
        ("DCM", "113683", "ACR accreditation phantom -  MR"),
    ],
)
def test_what_the_standard_says_for_a_code_stays(scheme, code, text):
    assert meaning(scheme, code, text) == text


def test_it_stays_for_the_codes_that_snomed_had_before():
    former = (each for each in sorted(standard_meanings()) if each[0] == "SRT")
    scheme, code, text = next(each for each in former if clean_text(each[2]) != each[2])
    assert meaning(scheme, code, text) == text
    assert meaning("99SDM", code, text) == text


@pytest.mark.parametrize("unit", ["mGy", "mGy.cm", "mSv/(mGy.cm)", "g/ml{SUVbw}"])
def test_a_unit_may_be_its_own_meaning(unit):
    assert meaning("UCUM", unit, unit) == unit
    assert meaning("99LOCAL", unit, unit) != unit


def test_the_concept_of_an_item_stays_where_its_value_is_a_dummy():
    concept = item(CodeValue="113832", CodingSchemeDesignator="DCM", CodeMeaning="Identification of the X-Ray Source")
    local = item(CodeValue="Z1", CodingSchemeDesignator="99LOCAL", CodeMeaning="Finding of Zorbwinkel")
    report = instance("1.2.840.10008.5.1.4.1.1.88.67", ContentSequence=[
        item(ValueType="TEXT", RelationshipType="CONTAINS", ConceptNameCodeSequence=[concept], TextValue="Zorbwinkel"),
        item(ValueType="PNAME", RelationshipType="CONTAINS", ConceptNameCodeSequence=[local], PersonName="Zorb^Ada"),
    ])  # fmt: skip
    first, second = run(engine("CleanDescriptors"), report).ContentSequence
    assert first.TextValue == "REMOVED"
    assert first.ConceptNameCodeSequence[0].CodeValue == "113832"
    assert first.ConceptNameCodeSequence[0].CodeMeaning == "Identification of the X-Ray Source"
    assert second.PersonName == "REMOVED"
    assert second.ConceptNameCodeSequence[0].CodeMeaning == "Finding of"


def test_another_meaning_is_cleaned():
    assert meaning("DCM", "128513", "Absorbed Dose of Zorbwinkel") == "Dose of"
    assert meaning("99LOCAL", "128513", "Absorbed Dose") == "Dose"
    assert meaning("DCM", "113906", "Zorbwinkel") == "REMOVED"


def test_a_name_of_the_header_does_not_stay_in_it():
    assert meaning("DCM", "128513", "Absorbed Dose", PatientName="Absorbed^Ada") == "Dose"


def test_codes_of_the_standard_stay_in_any_shape():
    odd = [("BARI", "28A"), ("NDC", "0407-2707-03")]
    assert set(odd) <= standard_codes()
    for scheme, code in odd:
        coded = item(CodeValue=code, CodingSchemeDesignator=scheme, CodeMeaning="Finding")
        found = run(engine("CleanDescriptors"), instance(MeasurementUnitsCodeSequence=[coded]))
        assert found.MeasurementUnitsCodeSequence[0].CodeValue == code
