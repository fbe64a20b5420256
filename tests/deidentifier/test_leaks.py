"""The leak check: identifying values are found wherever they stand, and nothing else is taken for one."""

import base64
import io

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from common.dicom_scan import scan
from deidentifier.deidentify import Deidentifier
from deidentifier.leak_patterns import patterns_of
from deidentifier.leaks import LeakError
from deidentifier.mappings import MemoryMappings
from deidentifier.profiles.identifying import Identities
from deidentifier.rules_file import load_rules

CT = "1.2.840.10008.5.1.4.1.1.2"
PROFILE = "    Profile: Basic\n    Options: [RetainLongitudinalModifiedDates, CleanDescriptors]\n"


def engine(more="", on_leak="", profile=PROFILE):
    head = f"OnLeak: {on_leak}\n" if on_leak else ""
    frame = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n  - Scope: {Labels: ALL}\n"
    return Deidentifier(load_rules(head + frame + profile + more), MemoryMappings())


def to_bytes(dataset, syntax=ExplicitVRLittleEndian):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = CT
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    with pydicom.config.disable_value_validation():
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def instance(**values):
    dataset = Dataset()
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = "1.3.6.1.4.1.7.7.1"
    given = {"PatientName": "Quimby^Zoe", "PatientID": "QX-123456", "PatientBirthDate": "19700304",
             "StudyInstanceUID": "1.3.6.1.4.1.7.7.2", "StudyDate": "20200131", "AccessionNumber": "A4711",
             "PatientAddress": "12 Nowhere Lane", "PatientTelephoneNumbers": "+41 44 123 45 67", **values}  # fmt: skip
    with pydicom.config.disable_value_validation():
        for keyword, value in given.items():
            setattr(dataset, keyword, value)
    return dataset


def shift_by_a_day(pattern):
    keys = f"TagPatterns: {pattern}, ShiftBy: 1, PreserveIntervals: true, ReuseMapping: SamePatient"
    return f"    ShiftDateTime: [{{{keys}}}]\n"


def planted(text, vr="OB"):
    """Return an instance with bytes that no rule touches, as they are not text alone."""
    dataset = instance()
    raw = b"\xff\xff" + (text if isinstance(text, bytes) else text.encode())
    dataset.add_new(0x00143080, vr, raw + b"\0" * (len(raw) % 2))  # BadPixelImage: binary, and in no row of the table
    return dataset


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Quimby", "name"),
        ("xxQUIMBYxx", "name"),
        ("zoe quimby", "name"),
        ("Quimby, Zoe", "name"),
        ("zoequimby", "name"),
        ("QX-123456", "identifier"),
        ("qx123456", "identifier"),
        ("12 nowhere lane", "address"),
        ("+41 44 123 45 67", "phone"),
        ("41441234567", "phone"),
        ("04.03.1970", "birth date"),
        ("1970-03-04", "birth date"),
        ("4 March 1970", "birth date"),
        ("4. MÄRZ 1970", "birth date"),
        ("4 mars 1970", "birth date"),
        ("4 marzo 1970", "birth date"),
        ("4 maart 1970", "birth date"),
        ("4 de marzo de 1970", "birth date"),
        ("1.3.6.1.4.1.7.7.1", "UID"),
        ("Quimby".encode("utf-16-le"), "name"),
        ("Quimby".encode("utf-16-be"), "name"),
        (base64.b64encode(b"the name is Quimby^Zoe."), "name"),
        (base64.b64encode(b"x 1.3.6.1.4.1.7.7.2"), "UID"),
    ],
)
def test_every_way_of_writing_is_found(text, kind):
    with pytest.raises(LeakError) as caught:
        engine().deidentify(to_bytes(planted(text)))
    assert {"path": "BadPixelImage", "rule": "no rule", "class": kind} in caught.value.findings
    assert "Quimby" not in str(caught.value)


@pytest.mark.parametrize("place", range(100, 320, 6))
def test_in_a_deflated_file_a_place_is_one_of_the_inflated_data_set(place):
    """Not of the file meta information, which is not deflated, and has numbers in it that are no text."""
    text = "A" * (place - 8) + "QUIMBY"
    dataset = instance(ImageType=[text[at : at + 14] for at in range(0, len(text), 14)])
    dataset.ImageType = [*dataset.ImageType[:-1], "QUIMBY"]
    outcome = engine(profile="    DeleteTags: [{TagPatterns: PatientName, Action: Empty}]\n").deidentify(
        to_bytes(dataset, DeflatedExplicitVRLittleEndian)
    )
    assert ("ImageType", "name") in {(leak.path, leak.kind) for leak in outcome.leaks}


def test_short_values_are_words_of_text():
    more = "    KeepTags: [{TagPatterns: SeriesDescription}]\n"
    keep = instance(SeriesDescription="for Zoe")
    assert engine(more).deidentify(to_bytes(keep)).state == "deidentified"  # kept on purpose
    outcome = engine(profile="    DeleteTags: [{TagPatterns: PatientName, Action: Empty}]\n").deidentify(
        to_bytes(instance(SeriesDescription="for Zoe", ImageComments="Zoetrope"))
    )
    paths = {(leak.path, leak.kind) for leak in outcome.leaks}
    assert ("SeriesDescription", "name") in paths
    assert "ImageComments" not in {path for path, _ in paths}


def test_non_latin_names_are_found_in_other_character_sets():
    dataset = planted("Müller".encode())
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Müller^Jörg"
    with pytest.raises(LeakError):
        engine().deidentify(to_bytes(dataset))
    dataset = planted(b"MULLER")
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Müller^Jörg"
    with pytest.raises(LeakError):
        engine().deidentify(to_bytes(dataset))


def test_dates_are_compared_by_path():
    """The moved date of one item may be the original date of another."""
    more = shift_by_a_day("StudyDate")
    series = instance(SeriesDate="20200131", AcquisitionDate="20200201", ContentDate="20200130")
    assert engine(more).deidentify(to_bytes(series)).leaks == []


def test_a_date_that_no_rule_moved_is_found():
    more = (
        "    ShiftDateTime: [{TagPatterns: '*/{DA}', ShiftBy: 1, PreserveIntervals: true, ReuseMapping: SamePatient}]\n"
    )
    more += "    AddTags: [{Tag: SeriesDate, VR: DA, Value: '20200131', OverwriteIfExists: true}]\n"
    outcome = engine(more).deidentify(to_bytes(instance(SeriesDate="20200131")))
    assert outcome.leaks == []  # what a rule writes is its own


def test_common_words_and_placeholders_do_not_flood():
    dataset = instance(
        PatientName="Head^Left", InstitutionName="Radiology", ReferringPhysicianName="UNKNOWN",
        BodyPartExamined="HEAD", StudyDescription="left head", OperatorsName="removed",
    )  # fmt: skip
    assert engine().deidentify(to_bytes(dataset)).leaks == []


@pytest.mark.parametrize("name", ["MR^TEST", "MR TEST", "De la Cruz", "Phantom^QA", "Test^Patient"])
def test_what_is_no_name_stays_in_text(name):
    """Nor are the first words of a name with particles a name."""
    given = instance(PatientName=name, SeriesDescription="MR test de la columna", ImageComments="QA phantom patient")
    outcome = engine().deidentify(to_bytes(given))
    assert outcome.leaks == []


def test_a_maker_in_the_place_of_the_institution_does_not_flood():
    given = instance(Manufacturer="TOSHIBA_MEC", InstitutionName="TOSHIBA", StationName="Siemens")
    result = pydicom.dcmread(io.BytesIO(engine().deidentify(to_bytes(given)).data))
    assert result.Manufacturer == "TOSHIBA_MEC"
    assert "InstitutionName" not in result


@pytest.mark.parametrize(
    ("given", "keyword", "stays"),
    [
        ({"StationName": "AVANTO", "ManufacturerModelName": "Avanto"}, "ManufacturerModelName", "Avanto"),
        ({"StationName": "TrueBeam", "ManufacturerModelName": "TrueBeam"}, "ManufacturerModelName", "TrueBeam"),
        ({"InstitutionName": "Philips Healthcare", "Manufacturer": "Philips Healthcare"}, "Manufacturer",
         "Philips Healthcare"),
        ({"InstitutionName": "Mayfair", "ManufacturerModelName": "Mayfair"}, "ManufacturerModelName", "REMOVED"),
        ({"StationName": "SMITH1", "SeriesDescription": "CT Smith1"}, "SeriesDescription", "CT"),
        ({"PatientTelephoneNumbers": "044 512 100"}, "SeriesDescription", "t1 512 100"),
        ({"PatientAddress": "100 Nowhere Lane 3040"}, "SeriesDescription", "t1 512 100"),
        ({"StudyID": "10", "PatientID": "000512"}, "SeriesDescription", "t1 100"),
    ],
)  # fmt: skip
def test_what_stands_for_a_machine_or_is_a_part_of_a_number_tells_nothing(given, keyword, stays):
    outcome = engine().deidentify(to_bytes(instance(**{"SeriesDescription": "t1 512 100", **given})))
    assert pydicom.dcmread(io.BytesIO(outcome.data))[keyword].value == stays


def test_a_maker_in_a_patients_name_is_a_name():
    given = planted("PHILIPS")
    given.PatientName = "Philips^Zoe"
    with pytest.raises(LeakError, match="name in"):
        engine().deidentify(to_bytes(given))


@pytest.mark.parametrize("name", ["Philips^Zoe", "Siemens^Zoe"])
def test_a_maker_where_its_machines_write_it_is_no_leak(name):
    given = instance(PatientName=name, Manufacturer="Philips Medical Systems")
    given.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "1000")
    given.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", 1000.0)
    outcome = engine(profile=PROFILE.replace("CleanDescriptors", "CleanDescriptors, RetainSafePrivate")).deidentify(
        to_bytes(given)
    )
    result = pydicom.dcmread(io.BytesIO(outcome.data))
    assert result.Manufacturer == "Philips Medical Systems"
    assert result[0x0019, 0x100C].value == 1000


def test_a_name_in_base64_beside_such_a_word_is_a_leak():
    text = f"coronal {base64.b64encode(b'to Corona, Zoe').decode()}"
    with pytest.raises(LeakError):
        engine(profile=PROFILE.replace(", CleanDescriptors", "")).deidentify(
            to_bytes(instance(PatientName="Corona^Zoe", RescaleType=text))
        )


def test_a_name_inside_a_word_of_the_vocabulary_is_no_leak():
    given = instance(PatientName="Corona^Zoe", ImageType=["ORIGINAL", "PRIMARY", "CORONAL"], RescaleType="HU coronal")
    assert engine().deidentify(to_bytes(given)).leaks == []


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Müller^Jörg", "Mueller"),
        ("MUELLER^JOERG", "Müller"),
        ("Müller^Jörg", "Mu\u0308ller"),
        ("Sørensen^Åse", "SORENSEN"),
        ("Łukasiewicz^Jan", "Lukasiewicz"),
        ("Дмитриев^Иван", "Dmitriev"),
        ("O'Connor^Zoe", "OCONNOR"),
        ("De la Cruz^Zoe", "delacruz"),
        ("Doe Alex", "AlexDoe"),
        ("Doe, Al", "Al Doe"),
        ("Dr. Al Roe", "Roe, Al"),
    ],
)
def test_names_are_found_in_other_letters(name, written):
    dataset = planted(written.encode())
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = name
    with pytest.raises(LeakError):
        engine().deidentify(to_bytes(dataset))


def test_digits_by_chance_are_no_leak():
    dataset = instance(PatientID="135803", ImagePositionPatient=[-158.135803, 1, 2])
    assert engine().deidentify(to_bytes(dataset)).state == "deidentified"
    with pytest.raises(LeakError):
        engine().deidentify(to_bytes(instance(PatientID="135803", RescaleSlope="135803")))


def test_what_a_rule_keeps_is_no_leak():
    profile = PROFILE.replace("CleanDescriptors", "CleanDescriptors, RetainInstitutionIdentity")
    result = engine(profile=profile).deidentify(to_bytes(instance(InstitutionName="Quimby Hospital")))
    assert result.leaks == []
    kept = engine("    KeepTags: [{TagPatterns: PatientName}]\n").deidentify(to_bytes(instance()))
    assert b"Quimby" in kept.data
    assert kept.leaks == []


def test_report_sends_on_and_tells_the_place():
    outcome = engine(on_leak="Report").deidentify(to_bytes(planted("Quimby")))
    assert [leak.as_record() for leak in outcome.leaks] == [
        {"path": "BadPixelImage", "rule": "no rule", "class": "name"}
    ]
    assert [(each.path, each.outcome) for each in outcome.report if each.outcome == "leak"] == [
        ("BadPixelImage", "leak")
    ]


def test_redact_empties_what_was_found_and_keeps_the_rest():
    dataset = planted("Quimby")
    dataset.RescaleSlope = "2"
    outcome = engine(on_leak="Redact").deidentify(to_bytes(dataset))
    result = pydicom.dcmread(io.BytesIO(outcome.data))
    assert not result.BadPixelImage
    assert (result.RescaleSlope, result.PatientIdentityRemoved) == (2, "YES")
    assert b"Quimby" not in outcome.data


def test_without_a_profile_leaks_are_reported():
    outcome = engine(profile="    DeleteTags: [{TagPatterns: PatientID, Action: Empty}]\n").deidentify(
        to_bytes(instance())
    )
    assert outcome.state == "deidentified"
    assert {"PatientName", "AccessionNumber"} <= {leak.path for leak in outcome.leaks}


def test_the_pixels_are_not_searched():
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:
        dataset = pydicom.dcmread(file)
    name = str(dataset.PatientName).encode()
    dataset.PixelData = name + dataset.PixelData[len(name) :]
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    outcome = engine().deidentify(buffer.getvalue())
    assert name in outcome.data
    assert outcome.leaks == []


def test_a_value_too_long_for_its_vr_is_found_by_its_beginning_and_takes_no_memory():
    # A damaged header makes kilobytes an accession number; whole, they took 80 kB of memory for each byte.
    collected = Identities().collect(scan(to_bytes(instance(AccessionNumber="Y" + "0123456789" * 200))))
    patterns = patterns_of(collected.identity)
    assert max(len(pattern.lowered) for pattern in patterns.found) <= 64
    kinds = {patterns.found[number].kind for number, _, _ in patterns.search(b"..y" + b"0123456789" * 10)}
    assert kinds == {"identifier"}


# ----------------------------------------------------------------------------------------------------- parts of values
LONG = "Flat 17 on the second floor of Wuthering House beside the Old Tannery at Nethergate Kirkstall Crescent 42"
REFERRER = "Practice of Dr. Cuthbert Featherstonehaugh\r\nNethergate 5\r\nLS5 3BT Leeds"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"PatientAddress": "12 Nowhere Lane\r\nUpper Tumbledown\r\nLS5 3BT Wetherby Moor"}, "ls5 3bt wetherby moor"),
        ({"PatientAddress": "12 Nowhere Lane, Upper Tumbledown, " + "x" * 150 + "; Wetherby Moor"}, "Wetherby Moor"),
        ({"PatientAddress": "12 Nowhere Lane   Upper Tumbledown"}, "Upper Tumbledown"),
        ({"PatientAddress": "12 Nowhere Lane | Upper Tumbledown"}, "Upper Tumbledown"),
        ({"PatientAddress": LONG}, "Nethergate Kirkstall Crescent 42"),
        ({"PatientAddress": LONG}, "the second floor of Wuthering House beside the Old Tannery"),
        ({"ReferringPhysicianAddress": REFERRER}, "Featherstonehaugh"),
        ({"InstitutionAddress": "Attn: Mrs. Featherstonehaugh, Nethergate 5"}, "see featherstonehaugh"),
        ({"PatientTelephoneNumbers": "home 0113 496 0123 / mobile 07700 900123"}, "07700900123"),
        ({"PatientTelephoneNumbers": "home 0113 496 0123 / mobile 07700 900123"}, "01134960123"),
        ({"PatientID": "HOSPITAL A/1234567"}, "MRN 1234567"),
        ({"OtherPatientNames": "Quimby^Zoe^Philomena^Dr^"}, "philomena"),
        ({"PatientID": "A" * 30 + " " + "B" * 34 + " 77-Q-XYZZY-5"}, "B" * 34),
    ],
)
@pytest.mark.parametrize("write", [str, lambda text: f"..{text}..".encode("utf-16-le")])
def test_parts_of_a_value_are_found(given, written, write):
    text = write(written)
    dataset = instance(**given)
    raw = text.encode() if isinstance(text, str) else text
    dataset.add_new(0x00143080, "OB", b"\xff\xff" + raw + b"\0" * (len(raw) % 2))
    with pytest.raises(LeakError) as caught:
        engine().deidentify(to_bytes(dataset))
    assert {finding["path"] for finding in caught.value.findings} == {"BadPixelImage"}


@pytest.mark.parametrize(
    "given",
    [
        {"PatientAddress": "Chest Hospital, Left wing, the second floor of the MR Center\r\nRadiology department"},
        {"InstitutionAddress": "Siemens Healthineers\r\nHospital\r\nDepartment of Radiology"},
        {"PatientID": "CT 20200131 left chest"},
        {"PatientTelephoneNumbers": "none / none"},
    ],
)
def test_parts_that_are_common_words_do_not_flood(given):
    dataset = instance(**given)
    dataset.add_new(
        0x00143080, "OB", b"\xff\xffChest Hospital left wing the second floor MR Center Radiology department 20200131"
    )
    dataset.Manufacturer = "Siemens Healthineers"
    assert engine().deidentify(to_bytes(dataset)).leaks == []


def test_the_pieces_of_a_damaged_value_are_few():
    words = " ".join(f"Word{number}qx" for number in range(5000))
    collected = Identities().collect(scan(to_bytes(instance(PatientAddress=words))))
    assert len(patterns_of(collected.identity).found) < 500
