"""Points in time that are no DA, DT or TM."""

from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from deidentifier.mappings import MemoryMappings
from tests.deidentifier.profiles.test_profile import engine, instance, run, to_bytes

TAKEN = datetime(2020, 1, 31, 12, tzinfo=UTC)
DAY = 86_400


def ptp(seconds, nanoseconds=5):
    return int(seconds).to_bytes(6, "big") + nanoseconds.to_bytes(4, "big")


def with_frames(*stamps, **values):
    dataset = instance(StudyDate="20200131", **values)
    groups = []
    for stamp in stamps:
        time = Dataset()
        time.FrameOriginTimestamp = stamp
        group = Dataset()
        group.TimeOfFrameGroupSequence = [time]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    return dataset


def stamps(result):
    return [group.TimeOfFrameGroupSequence[0].FrameOriginTimestamp for group in result.PerFrameFunctionalGroupsSequence]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_timestamp_moves_with_the_dates_of_its_patient(syntax):
    first, second = ptp(TAKEN.timestamp()), ptp(TAKEN.timestamp() + 0.04, 40_000_000)
    given = with_frames(first, second)
    result = run(engine("RetainLongitudinalModifiedDates", mappings=MemoryMappings()), given, syntax)
    moved = datetime.strptime(result.StudyDate, "%Y%m%d").replace(tzinfo=UTC, hour=12)
    assert moved.date() != TAKEN.date()
    assert stamps(result) == [ptp(moved.timestamp()), ptp(moved.timestamp(), 40_000_000)]


@pytest.mark.parametrize("options", ["RetainLongitudinalModifiedDates", "RetainLongitudinalFullDates", ""])
@pytest.mark.parametrize(
    "stamp",
    [b"ROE^JANE 1", b"ROE^JANE 19700101", ptp(TAKEN.timestamp())[:8], ptp(TAKEN.timestamp(), 2_000_000_000)],
)
def test_what_is_no_timestamp_becomes_the_beginning_of_the_scale(options, stamp):
    assert stamps(run(engine(options), with_frames(stamp))) == [bytes(10)]


def test_dates_that_stay_and_dates_that_go():
    stamp = ptp(TAKEN.timestamp())
    assert stamps(run(engine("RetainLongitudinalFullDates"), with_frames(stamp))) == [stamp]
    assert stamps(run(engine(), with_frames(stamp))) == [bytes(10)]
    assert stamps(run(engine("RetainLongitudinalModifiedDates"), with_frames(ptp(DAY)))) != [ptp(DAY)]


@pytest.mark.parametrize("options", ["RetainLongitudinalModifiedDates", "RetainLongitudinalFullDates", ""])
def test_birth_dates_of_other_calendars_and_stray_signatures_go(options):
    given = instance(
        PatientBirthDateInAlternativeCalendar="H.29.03.12",
        PatientDeathDateInAlternativeCalendar="1440/05/07",
        CertifiedTimestamp=b"20200131120000Z ",
        Signature=b"signed by Roe",
        EncryptedContent=b"secret of Roe.",
    )
    result = run(engine(options), given)
    for keyword in ("PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar"):
        assert keyword not in result
    for keyword in ("CertifiedTimestamp", "Signature", "EncryptedContent"):
        assert keyword not in result


def test_binary_headers_of_siemens_are_not_safe():
    given = instance()
    block = given.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", b"SV10\4\3\2\1tPatientName Roe^Jane 20200131")
    block.add_new(0x20, "OB", b"SV10\4\3\2\1tPatientName Roe^Jane 20200131")
    given.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "1000")
    result = engine("RetainSafePrivate").deidentify(to_bytes(given)).data
    assert b"SV10" not in result
    assert b"1000" in result
