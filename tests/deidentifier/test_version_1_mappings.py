"""Taking over version 1.0's mappings."""

import pytest

from common.errors import StatementError
from deidentifier.mappings import PostgresMappings
from deidentifier.version_1_mappings import convert, import_mappings


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("UID", "1.2\0", "always", "always", "2.25.1"), [("UID", "Always", "", "1.2", "2.25.1")]),
        (("TEXT", "Doe ", "patient", " P1 ", "aB3"), [("TEXT", "SamePatient", "P1", "Doe", "aB3")]),
        (("DATETIME", "Doe", "patient", "P1", "aB3dE6gH"), [("TEXT", "SamePatient", "P1", "Doe", "aB3dE6gH")]),
        (
            ("DATETIME", "20200131", "series", "1.2", "20200202"),
            [("DA", "SameSeries", "1.2", "20200131", "20200202"), ("DT", "SameSeries", "1.2", "20200131", "20200202")],
        ),
        (("DATETIME", "101112.5", "series", "1.2", "101113.5"), [("TM", "SameSeries", "1.2", "101112.5", "101113.5")]),
        (
            ("DATETIME", "20200131101112+0100", "instance", "1.2", "20200131101113+0100"),
            [("DT", "SameInstance", "1.2", "20200131101112+0100", "20200131101113+0100")],
        ),
        # a study's row may be an instance's
        (
            ("UID", "1", "study", "1.2", "3"),
            [("UID", "SameStudy", "1.2", "1", "3"), ("UID", "SameInstance", "1.2", "1", "3")],
        ),
        # NFC: e and a combining accent become one letter
        (("TEXT", "Andre\u0301", "always", "always", "x"), [("TEXT", "Always", "", "Andr\u00e9", "x")]),
        (("PIXELS", "a", "always", "always", "x"), []),
        (("TEXT", "a", "galaxy", "always", "x"), []),
    ],
)
def test_rows_become_mappings(row, expected):
    assert list(convert(row)) == expected


@pytest.fixture
def version_1(ingest_database):
    """Return a function that fills 1.0's table, and gives the owner's database and the worker's mappings."""

    def fill(*rows):
        with ingest_database.owner.transaction() as cursor:
            cursor.execute(
                "CREATE TABLE rpacs_dicom_mapping (value_type VARCHAR(8) NOT NULL, old_value TEXT NOT NULL, "
                "scope_type VARCHAR(10) NOT NULL, scope_value TEXT NOT NULL, new_value TEXT NOT NULL)"
            )
            for row in rows:
                cursor.execute("INSERT INTO rpacs_dicom_mapping VALUES (%s, %s, %s, %s, %s)", row)
        return ingest_database.owner, PostgresMappings(ingest_database.login("rpacs_deidentifier"))

    return fill


def test_a_known_patient_keeps_the_pseudonym(version_1):
    owner, mappings = version_1(
        ("DATETIME", "P1", "always", "always", "aB3dE6gH"), ("UID", "1.2", "always", "always", "9.9")
    )
    done = import_mappings(owner)
    assert (done.rows, done.added, done.collisions, done.unknown) == (2, 2, 0, 0)
    wanted = {("TEXT", "Always", "", "P1"): "other", ("UID", "Always", "", "1.2"): "2.25.7"}
    assert list(mappings.fetch_or_create(wanted).values()) == ["aB3dE6gH", "9.9"]


def test_importing_twice_adds_nothing(version_1):
    owner, _ = version_1(("TEXT", "P1", "study", "1.2", "aB3dE6gH"))
    assert import_mappings(owner).added == 2
    assert import_mappings(owner).added == 0


def test_a_mapping_that_exists_stays(version_1):
    owner, mappings = version_1(("TEXT", "P1", "always", "always", "old"))
    key = ("TEXT", "Always", "", "P1")
    mappings.fetch_or_create({key: "ours"})
    assert import_mappings(owner).added == 0
    assert mappings.fetch_or_create({key: "x"}) == {key: "ours"}


def test_collisions_and_unknown_rows_are_counted(version_1):
    owner, _ = version_1(
        ("TEXT", "P1", "always", "always", "Same"),
        ("TEXT", "P2", "always", "always", "sAME"),
        ("TEXT", "P3", "galaxy", "x", "y"),
    )
    done = import_mappings(owner)
    assert (done.rows, done.added, done.collisions, done.unknown) == (3, 2, 1, 1)


def test_a_missing_table_is_an_error(ingest_database):
    with pytest.raises(StatementError):
        import_mappings(ingest_database.owner)
