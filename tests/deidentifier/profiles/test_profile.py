"""The profile in force: through bytes, with its options, what rules replace, and what it says of itself."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.errors import QuarantineError
from common.storage import Storage
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.profiles.clean_text import site_vocabulary
from deidentifier.rules_file import load_rules

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"


def engine(options="", more="", mappings=None, profile="Basic"):
    text = (
        "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n"
        f"  Profile: {profile}\n  Options: [{options}]\n{more}"
    )
    return Deidentifier(load_rules(text), mappings or MemoryMappings())


def to_bytes(dataset, syntax=ExplicitVRLittleEndian):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CT)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    with pydicom.config.disable_value_validation():
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def run(deidentifier, dataset, syntax=ExplicitVRLittleEndian):
    return pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(dataset, syntax)).data))


def instance(sop_class=CT, **values):
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = "1.3.6.1.4.1.7.7.1"
    dataset.PatientID = "P77"
    with pydicom.config.disable_value_validation():
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
    return dataset


def item(**values):
    return instance("", **values) if "SOPClassUID" in values else _item(values)


def _item(values):
    dataset = Dataset()
    with pydicom.config.disable_value_validation():
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
    return dataset


# ------------------------------------------------------------------------------------------------- types and dummies
def test_the_type_in_the_iod_decides():
    given = {"PatientName": "Roe^Jane", "OperatorsName": "Olga", "StudyDate": "20200131", "SeriesDate": "20200131"}
    result = run(engine(), instance(**given))
    assert result["PatientName"].value == ""  # type 2
    assert "OperatorsName" not in result  # type 3
    assert result["StudyDate"].value == ""
    assert "SeriesDate" not in result


def test_dummies_where_the_iod_wants_a_value():
    sr = instance(SR, ContentDate="20200131", ContentTime="101112", VerifyingObserverSequence=[
        item(VerifyingObserverName="Roe^Jane", VerifyingOrganization="General", VerificationDateTime="20200131101112")
    ])  # fmt: skip
    result = run(engine(), sr)
    observer = result.VerifyingObserverSequence[0]
    assert observer.VerifyingObserverName == "REMOVED"
    assert observer.VerificationDateTime == "19000101000000"
    assert result.ContentDate == "19000101"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_every_depth_also_in_sequences_without_a_row(syntax):
    inner = item(PatientName="Roe^Jane", OperatorsName="Olga", StudyInstanceUID="1.3.6.1.4.1.7.7.2")
    dataset = instance(CTAcquisitionTypeSequence=[item(AnatomicRegionSequence=[inner])])
    result = run(engine(), dataset, syntax)
    found = result.CTAcquisitionTypeSequence[0].AnatomicRegionSequence[0]
    assert "OperatorsName" not in found
    assert found.get("PatientName", "") == ""
    assert found.StudyInstanceUID.startswith("2.25.")


def test_uids_are_consistent_and_those_of_the_standard_stay():
    dataset = instance(StudyInstanceUID="1.3.6.1.4.1.7.7.2", ReferencedImageSequence=[
        item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID="1.3.6.1.4.1.7.7.1")
    ])  # fmt: skip
    keep = "  KeepTags: [{TagPatterns: '*/ReferencedImageSequence'}]\n"
    result = run(engine(more=keep), dataset)
    (reference,) = result.ReferencedImageSequence
    assert reference.ReferencedSOPInstanceUID == result.SOPInstanceUID == result.file_meta.MediaStorageSOPInstanceUID
    assert reference.ReferencedSOPClassUID == CT == result.SOPClassUID
    assert result.StudyInstanceUID.startswith("2.25.")


def test_elements_nobody_knows_go():
    dataset = instance()
    dataset.add_new(0x00081999, "LO", "unknown")
    dataset.add_new(0x60000010, "US", 4)
    dataset.add_new(0x60003000, "OW", b"\1\2")
    dataset.add_new(0x501E3000, "OW", b"\1\2")
    dataset.EncryptedAttributesSequence = [item(EncryptedContentTransferSyntaxUID="1.2.840.10008.1.2")]
    dataset.MACParametersSequence = [item(MACIDNumber=1)]
    result = run(engine(), dataset)
    assert [str(element.tag) for element in result if element.tag.group in (0x6000, 0x501E)] == []
    assert 0x00081999 not in result
    assert "EncryptedAttributesSequence" not in result
    assert "MACParametersSequence" not in result


@pytest.mark.parametrize("keyword", ["SliceThickness", "BodyPartExamined", "PatientAge", "SeriesNumber"])
def test_what_is_illegal_for_its_vr_does_not_pass(keyword):
    data = to_bytes(instance(**{keyword: "123456789"})).replace(b"123456789", b"MARK00077")
    assert b"MARK00077" in data
    assert b"MARK00077" not in engine("RetainPatientCharacteristics, CleanDescriptors").deidentify(data).data


# ----------------------------------------------------------------------------------------------------------- options
def test_dates_move_together_and_times_stay():
    deidentifier = engine("RetainLongitudinalModifiedDates", mappings=MemoryMappings())
    given = {"StudyDate": "20200131", "StudyTime": "101112", "AcquisitionDateTime": "20200131101112.5+0100",
             "PatientBirthDate": "19700304", "TimezoneOffsetFromUTC": "+0100"}  # fmt: skip
    first = run(deidentifier, instance(**given))
    second = run(deidentifier, instance(**{**given, "StudyDate": "20200210", "SOPInstanceUID": "1.2.3"}))
    assert first.StudyDate != "20200131"
    assert (pydicom.valuerep.DA(second.StudyDate) - pydicom.valuerep.DA(first.StudyDate)).days == 10
    assert first.AcquisitionDateTime == f"{first.StudyDate}101112.5+0100"
    assert (first.StudyTime, first.TimezoneOffsetFromUTC) == ("101112", "+0100")
    assert first["PatientBirthDate"].value == ""
    assert first.LongitudinalTemporalInformationModified == "MODIFIED"


def test_a_rule_sets_another_range_of_days():
    more = (
        "  ShiftDateTime: [{TagPatterns: StudyDate, ShiftBy: 1, PreserveIntervals: true, ReuseMapping: SamePatient}]\n"
    )
    result = run(engine("RetainLongitudinalModifiedDates", more), instance(StudyDate="20200131", SeriesDate="20200131"))
    assert result.StudyDate == result.SeriesDate
    assert result.StudyDate in ("20200130", "20200201")


def test_full_dates_are_kept_but_nothing_else_in_their_place():
    result = run(engine("RetainLongitudinalFullDates"), instance(StudyDate="20200131", SeriesDate="Roe Jane"))
    assert result.StudyDate == "20200131"
    assert result["SeriesDate"].value == ""
    assert result.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_options_of_matching_entries_are_united():
    text = (
        "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n"
        "- {Scope: {Labels: ALL}, Profile: Basic, Options: [RetainUIDs]}\n"
        "- {Scope: {Labels: ALL}, Profile: Basic, Options: [RetainInstitutionIdentity]}\n"
    )
    result = run(Deidentifier(load_rules(text), MemoryMappings()), instance(InstitutionName="General"))
    assert result.InstitutionName == "General"
    assert result.SOPInstanceUID == "1.3.6.1.4.1.7.7.1"
    codes = {code.CodeValue for code in result.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113110", "113112"}


def test_both_date_options_meeting_quarantine_the_instance():
    text = (
        "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n"
        "- {Scope: {Labels: ALL}, Profile: Basic, Options: [RetainLongitudinalFullDates]}\n"
        "- {Scope: {Labels: ALL}, Profile: Basic, Options: [RetainLongitudinalModifiedDates]}\n"
    )
    with pytest.raises(QuarantineError, match="both to keep and to move dates"):
        Deidentifier(load_rules(text), MemoryMappings()).deidentify(to_bytes(instance()))


def test_descriptions_are_cleaned_word_by_word():
    given = {"PatientName": "Quimby^Zoe", "StudyDescription": "CT chest of Zoe Quimby 5mm",
             "ProtocolName": "AX T2 FLAIR", "ConvolutionKernel": "B30f",
             "SeriesDescription": "Dr. Xyzzy asked"}  # fmt: skip
    result = run(engine("CleanDescriptors"), instance(**given))
    assert result.StudyDescription == "CT chest of 5mm"
    assert (result.ProtocolName, result.ConvolutionKernel) == ("AX T2 FLAIR", "B30f")
    assert "Xyzzy" not in result.SeriesDescription


def test_safe_private_elements_stay_with_their_creators():
    dataset = instance()
    block = dataset.private_block(0x0019, "GEMS_ACQU_01", create=True)
    block.add_new(0x23, "DS", "5.0")
    with pydicom.config.disable_value_validation():
        block.add_new(0x24, "UN", b"Roe Jane")  # safe, were it a number
    block.add_new(0x18, "LO", "secret")
    other = dataset.private_block(0x0021, "SOMEBODY", create=True)
    other.add_new(0x01, "LO", "secret")
    result = run(engine("RetainSafePrivate"), dataset)
    kept = result.private_block(0x0019, "GEMS_ACQU_01")
    assert kept[0x23].value == 5
    assert not kept[0x24].value
    assert [element.tag for element in result if element.tag.group == 0x0021] == []
    assert b"secret" not in to_bytes(result)
    assert not any(element.tag.is_private for element in run(engine(), dataset))


def test_the_vr_of_a_safe_private_element_is_that_of_the_standard_where_the_file_names_none():
    dataset = instance()
    dataset.private_block(0x01F1, "ELSCINT1", create=True).add_new(0x26, "DS", "1.5")  # FD, in pydicom's dictionary
    dataset.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x7D, "OB", b"\1\xff")  # OW/OB
    data = engine("RetainSafePrivate").deidentify(to_bytes(dataset, ImplicitVRLittleEndian)).data
    assert b"\xf1\1\x26\x10\4\0\0\0" + b"1.5 " in data
    assert b"\1\x20\x7d\x10\2\0\0\0" + b"\1\xff" in data


def test_clean_pixel_data_reads_the_pixels_and_says_so():
    dataset = instance(
        Rows=64, Columns=64, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=8, BitsStored=8,
        HighBit=7, PixelRepresentation=0, PixelData=bytes(64 * 64),
    )  # fmt: skip
    read = run(engine("CleanPixelData"), dataset)
    assert "113101" in {code.CodeValue for code in read.DeidentificationMethodCodeSequence}
    assert read.BurnedInAnnotation == "NO"
    unread = run(engine("CleanPixelData"), instance())  # there is nothing to read
    assert "113101" not in {code.CodeValue for code in unread.DeidentificationMethodCodeSequence}


# --------------------------------------------------------------------------------------------------- structured reports
def content(value_type, code, scheme="DCM", **values):
    concept = item(CodeValue=code, CodingSchemeDesignator=scheme, CodeMeaning="Finding")
    return item(ValueType=value_type, ConceptNameCodeSequence=[concept], **values)


def test_content_items_go_by_their_concepts():
    tree = [
        content("TEXT", "121022", TextValue="A4711"),  # accession number: goes
        content("TEXT", "121071", TextValue="Small nodule seen by Quimby"),
        content("PNAME", "121008", PersonName="Roe^Jane"),
        content("NUM", "121206", MeasuredValueSequence=[item(NumericValue="12.5")]),
        content("CONTAINER", "121070", ContentSequence=[content("UIDREF", "112002", UID="1.3.6.1.4.1.7.7.9")]),
    ]
    result = run(engine("CleanDescriptors"), instance(SR, ContentSequence=tree))
    found = result.ContentSequence
    assert [each.ValueType for each in found] == ["TEXT", "PNAME", "NUM", "CONTAINER"]
    assert found[0].TextValue == "Small nodule seen by"
    assert found[1].PersonName == "REMOVED"
    assert found[2].MeasuredValueSequence[0].NumericValue == 12.5
    assert found[3].ContentSequence[0].UID.startswith("2.25.")
    assert run(engine(), instance(SR, ContentSequence=tree)).ContentSequence[0].TextValue == "REMOVED"


# -------------------------------------------------------------------------------------------------------- precedence
@pytest.mark.parametrize(
    ("more", "keyword", "value", "expected"),
    [
        ("RandomizeText: [{TagPatterns: PatientName, ReuseMapping: Always}]", "PatientName", "Roe^Jane", "random"),
        ("ShiftDateTime: [{TagPatterns: '*/Patient*', ShiftBy: 5}]", "PatientName", "Roe^Jane", "emptied"),
        ("DeleteTags: [{TagPatterns: OperatorsName, Action: Empty}]", "OperatorsName", "Olga", "emptied"),
        ("AddTags: [{Tag: OperatorsName, VR: PN, Value: X}]", "OperatorsName", "Olga", "removed"),
        ("AddTags: [{Tag: OperatorsName, VR: PN, Value: X, OverwriteIfExists: true}]", "OperatorsName", "Olga", "X"),
        ("AddTags: [{Tag: OperatorsName, VR: PN, Value: X}]", "StationName", "CT1", "removed"),
        ("KeepTags: [{TagPatterns: OperatorsName}]", "OperatorsName", "Olga", "Olga"),
    ],
)
def test_only_a_rule_that_really_changes_an_element_replaces_the_profile(more, keyword, value, expected):
    result = run(engine(more=f"  {more}\n"), instance(**{keyword: value}))
    if expected == "removed":
        assert keyword not in result
    elif expected == "random":
        assert len(str(result[keyword].value)) == 8
    else:
        assert str(result[keyword].value) == ("" if expected == "emptied" else expected)


def test_rules_after_the_pixels_replace_the_profile_too():
    more = (
        "  RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[0, 0, 1, 1]]}]\n"
        "  DeleteTags: [{TagPatterns: OperatorsName, Action: Empty}]\n"
    )
    result = run(engine(more=more), instance(OperatorsName="Olga", StationName="CT1"))
    assert result["OperatorsName"].value == ""
    assert "StationName" not in result
    assert result.PatientIdentityRemoved == "YES"


def test_what_a_removed_sequence_holds_goes_with_it():
    more = "  KeepTags: [{TagPatterns: '*/PatientID'}]\n"
    result = run(engine(more=more), instance(OtherPatientIDsSequence=[item(PatientID="Q1")]))
    assert "OtherPatientIDsSequence" not in result
    assert result.PatientID == "P77"


# ------------------------------------------------------------------------------------------------------ what it says
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_the_result_says_exactly_what_ran(syntax):
    result = run(engine("RetainUIDs, CleanDescriptors"), instance(DeidentificationMethod="by Dr. Roe"), syntax)
    assert result.PatientIdentityRemoved == "YES"
    assert list(result.DeidentificationMethod)[1:] == ["DICOM PS3.15 Basic Profile", "RetainUIDs", "CleanDescriptors"]
    assert [code.CodeValue for code in result.DeidentificationMethodCodeSequence] == ["113100", "113110", "113105"]
    assert {code.CodingSchemeDesignator for code in result.DeidentificationMethodCodeSequence} == {"DCM"}


def test_without_a_profile_nothing_is_claimed():
    rules = load_rules("Labels: []\nScopeToForward: {Labels: ALL}\nTransformations: []\n")
    result = run(Deidentifier(rules, MemoryMappings()), instance())
    assert "PatientIdentityRemoved" not in result
    assert "DeidentificationMethodCodeSequence" not in result


# -------------------------------------------------------------------------------------------------------- quarantine
@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.104.1", "encapsulated document"),
        ("1.2.840.10008.5.1.4.1.1.104.3", "encapsulated document"),
        ("1.3.12.2.1107.5.9.1", "private SOP class"),
        ("1.2.840.10008.1.3.10", "no storage class"),
        ("1.2.840.10008.5.1.4.99", "no storage class"),
        ("", "names no SOP class"),
    ],
)
def test_classes_nobody_knows_are_quarantined(sop_class, reason):
    dataset = instance(sop_class)
    if not sop_class:
        del dataset.SOPClassUID
    with pytest.raises(QuarantineError, match=reason):
        engine().deidentify(to_bytes(dataset))


def test_a_sequence_hidden_in_unknown_bytes_is_cleaned():
    data = to_bytes(instance(CTAcquisitionTypeSequence=[item(OperatorsName="Olga")]), ImplicitVRLittleEndian)
    inner = data[data.index(b"\x18\x00\x01\x93") + 8 :]
    unknown = to_bytes(instance()) + b"\x18\x00\x01\x93UN\0\0" + len(inner).to_bytes(4, "little") + inner
    assert pydicom.dcmread(io.BytesIO(unknown)).CTAcquisitionTypeSequence[0].OperatorsName == "Olga"
    assert b"Olga" not in engine().deidentify(unknown).data


@pytest.mark.parametrize("after", [b"Roe^Jane, born 1970", b"\0" * 9, b"QZ77" * 20, b"x"])
@pytest.mark.parametrize("last", ["PatientID", "PixelData"])
def test_bytes_after_the_data_set_are_dropped(after, last):
    dataset = instance()
    if last == "PixelData":
        dataset.BitsAllocated = 8
        dataset.PixelData = b"\1\2"
    data = to_bytes(dataset)
    deidentifier = engine()
    assert deidentifier.deidentify(data + after).data == deidentifier.deidentify(data).data


def image(stored=12, **values):
    pixels = np.full((4, 4), 0x0ABC if stored == 12 else 0xBC, np.uint16)
    return instance(
        Rows=4, Columns=4, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=16,
        BitsStored=stored, HighBit=stored - 1, PixelRepresentation=0, PixelData=pixels.tobytes(), **values,
    )  # fmt: skip


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_overlays_in_the_bits_of_pixels_go(syntax):
    dataset = image()
    hidden = np.frombuffer(dataset.PixelData, np.uint16) | np.uint16(0x1000)
    dataset.PixelData = hidden.tobytes()
    dataset.add_new(0x60000010, "US", 4)
    dataset.add_new(0x60000011, "US", 4)
    dataset.add_new(0x60000100, "US", 16)
    dataset.add_new(0x60000102, "US", 12)
    result = run(engine(), dataset, syntax)
    assert result.PixelData == image().PixelData
    assert 0x60000102 not in result


def test_bytes_behind_the_last_pixel_go():
    dataset = image()
    dataset.PixelData += b"Roe^Jane"
    result = engine().deidentify(to_bytes(dataset)).data
    assert b"Roe^Jane" not in result
    assert pydicom.dcmread(io.BytesIO(result)).PixelData[:32] == image().PixelData


def test_pixels_without_either_are_left_alone():
    dataset = image()
    dataset.PixelData = (np.frombuffer(dataset.PixelData, np.uint16) | np.uint16(0xF000)).tobytes()
    assert run(engine(), dataset).PixelData == dataset.PixelData


def test_a_site_has_words_of_its_own(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("# our protocols\nXyzzyscan\n")
    vocabulary = site_vocabulary(str(words), Storage())
    rules = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n"
    rules += "  Profile: Basic\n  Options: [CleanDescriptors]\n"
    for known, left in ((vocabulary, "CT xyzzyscan"), (frozenset(), "CT")):
        deidentifier = Deidentifier(load_rules(rules), MemoryMappings(), vocabulary=known)
        assert run(deidentifier, instance(StudyDescription="CT xyzzyscan")).StudyDescription == left
