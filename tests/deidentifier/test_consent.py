"""Keys for pseudonyms, the way back, predefined pseudonyms, and the withdrawal of consent."""

import io
import json

import pydicom
import pytest
from cryptography.fernet import Fernet
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from common.errors import QuarantineError, StatementError
from common.orthanc import Orthanc
from deidentifier.__main__ import main
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings, PostgresMappings
from deidentifier.pseudonym_key import PseudonymKey
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES
from deidentifier.withdrawal import Withdrawals

KEY = "k" * 20 + "0123456789abcdef"
OTHER = "o" * 20 + "0123456789abcdef"
RULES = load_rules(DEFAULT_RULES.read_bytes())


def instance(patient="P-000077", number=1):
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"1.3.6.1.4.1.7.7.{number}"
    dataset.StudyInstanceUID = f"1.3.6.1.4.1.7.8.{patient.strip()[-1]}"
    dataset.SeriesInstanceUID = f"1.3.6.1.4.1.7.9.{patient.strip()[-1]}"
    dataset.PatientID, dataset.PatientName, dataset.StudyDate = patient, "Quimby^Zoe", "20200131"
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY"]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def run(mappings, key=None):
    return Deidentifier(RULES, mappings, key=PseudonymKey(key) if key else None).deidentify(instance()).data


# ---------------------------------------------------------------------------------------------------------------- keys
def test_two_sites_with_one_key_agree():
    assert run(MemoryMappings(), KEY) == run(MemoryMappings(), KEY)
    assert run(MemoryMappings(), KEY) != run(MemoryMappings(), OTHER)
    assert run(MemoryMappings()) != run(MemoryMappings())


def test_sub_keys_are_apart():
    key = PseudonymKey(KEY)
    assert len({key.derive(purpose, "a", "b") for purpose in ("UID", "TEXT", "OFFSET", "instance")}) == 4
    assert key.derive("UID", "a", "bc") != key.derive("UID", "ab", "c")
    assert KEY not in repr(key)
    assert key.identifier != PseudonymKey(OTHER).identifier


def test_a_stored_value_wins_and_keeps_the_identifier_of_its_key(ingest_database):
    database = ingest_database.login("rpacs_deidentifier")
    first, second = PseudonymKey(KEY), PseudonymKey(OTHER)
    before = run(PostgresMappings(database, key=first), KEY)
    assert run(PostgresMappings(database, key=second), OTHER) == before
    with ingest_database.owner.transaction() as cursor:
        cursor.execute("SELECT DISTINCT key_id FROM ingest.mappings")
        assert cursor.fetchall() == [(first.identifier,)]
        cursor.execute("SELECT t::text FROM ingest.mappings AS t")
        assert not any(KEY in row for (row,) in cursor.fetchall())


# ------------------------------------------------------------------------------------------------------- the way back
@pytest.fixture
def filled(ingest_database, monkeypatch):
    """Fill the mappings, and log in as who may read them backwards."""
    result = pydicom.dcmread(io.BytesIO(run(PostgresMappings(ingest_database.login("rpacs_deidentifier")))))
    for name, value in ingest_database.environ("rpacs_reidentify").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RPACS_CONSOLE_AUDIT_KEY", "a" * 40)
    monkeypatch.setenv("RPACS_MAPPINGS_EXPORT_KEY", Fernet.generate_key().decode())
    return ingest_database, result


def audit_of(database):
    with database.owner.transaction() as cursor:
        cursor.execute("SELECT entry FROM ingest.audit ORDER BY seq")
        return [entry if isinstance(entry, dict) else json.loads(entry) for (entry,) in cursor.fetchall()]


def test_looking_up_is_audited_first(filled, capsys):
    database, result = filled
    assert main(["reidentify", result.PatientID, result.SOPInstanceUID, "--reason", "incidental finding"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert ["TEXT", "Always", result.PatientID, "P-000077", ""] in lines
    assert ["UID", "Always", result.SOPInstanceUID, "1.3.6.1.4.1.7.7.1", ""] in lines
    (entry,) = audit_of(database)
    assert (entry["action"], entry["reason"]) == ("reidentify", "incidental finding")
    assert "P-000077" not in json.dumps(entry)
    assert main(["reidentify", "nobody", "--reason", "test"]) == 1


def test_the_worker_may_not_read_backwards_without_a_trace(filled):
    database, _ = filled
    with pytest.raises(StatementError), database.login("rpacs_reidentify").transaction() as cursor:
        cursor.execute("DELETE FROM ingest.audit")


def test_an_export_is_encrypted_and_can_be_read(filled, tmp_path, capsys, monkeypatch):
    database, result = filled
    path = tmp_path / "mappings"
    assert main(["reidentify", "--export", str(path), "--reason", "backup"]) == 0
    assert b"P-000077" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    assert main(["reidentify", "--read", str(path), "--reason", "restore"]) == 0
    assert f"P-000077\t{result.PatientID}" in capsys.readouterr().out
    assert [entry["action"] for entry in audit_of(database)] == ["export mappings"]
    monkeypatch.setenv("RPACS_MAPPINGS_EXPORT_KEY", Fernet.generate_key().decode())
    assert main(["reidentify", "--read", str(path), "--reason", "restore"]) == 1


# -------------------------------------------------------------------------------------------------------- predefined
def test_predefined_pseudonyms(ingest_database, monkeypatch, tmp_path, capsys):
    for name, value in ingest_database.environ("rpacs_deidentifier").items():
        monkeypatch.setenv(name, value)
    table = tmp_path / "codes.csv"
    table.write_text("PatientID,SubjectCode\nP-000077,STUDY-A-001\nP2,STUDY-A-002\n")
    assert main(["import-pseudonyms", str(table)]) == 0
    result = pydicom.dcmread(io.BytesIO(run(PostgresMappings(ingest_database.login("rpacs_deidentifier")))))
    assert result.PatientID == "STUDY-A-001"
    table.write_text("PatientID,SubjectCode\nP3,study-a-001\n")
    assert main(["import-pseudonyms", str(table)]) == 1
    table.write_text("PatientID,SubjectCode\nP3,\n")
    assert main(["import-pseudonyms", str(table)]) == 2
    assert f"{table}:2" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------------- withdrawal
def test_withdrawing_deletes_erases_and_blocks(
    ingest_database, research_orthanc, log_in_to_withdraw, monkeypatch, tmp_path, capsys
):
    mappings = PostgresMappings(ingest_database.login("rpacs_deidentifier"))
    engine = Deidentifier(RULES, mappings)
    orthanc = Orthanc(research_orthanc.url, research_orthanc.username, research_orthanc.password)
    ours = [engine.deidentify(instance(number=number)).data for number in (1, 2)]
    other = engine.deidentify(instance("P-000078", 3)).data
    for data in (*ours, other):
        orthanc.upload(data)
    log_in_to_withdraw()
    patients, output = tmp_path / "patients", tmp_path / "uids"
    patients.write_text("P-000077\n")
    command = ["withdraw", "--patients", str(patients), "--output", str(output)]
    assert main(command) == 2
    assert "RPACS_WITHDRAWAL_KEY" in capsys.readouterr().err
    monkeypatch.setenv("RPACS_WITHDRAWAL_KEY", KEY)
    assert main(command) == 0
    assert orthanc.count_instances() == 1
    gone = {str(pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID) for data in ours}
    assert {line for line in output.read_text().splitlines() if not line.startswith("#")} == gone
    with ingest_database.owner.transaction() as cursor:
        cursor.execute("SELECT m::text FROM ingest.mappings AS m")
        left = "\n".join(row for (row,) in cursor.fetchall())
        cursor.execute("SELECT w::text FROM ingest.withdrawals AS w")
        ((row,),) = cursor.fetchall()
    assert "P-000077" not in left
    assert not any(uid in left for uid in gone)
    assert "P-000078" in left
    assert "P-000077" not in row
    database = ingest_database.login("rpacs_deidentifier")
    blocked = Deidentifier(RULES, mappings, withdrawn=Withdrawals(database, KEY).holds)
    assert blocked.deidentify(instance()).reason == "ConsentWithdrawn"
    assert blocked.deidentify(instance(" P-000077 ")).state == "discarded"
    assert blocked.deidentify(instance("P-000078", 3)).data == other
    with pytest.raises(QuarantineError, match="RPACS_WITHDRAWAL_KEY"):
        Withdrawals(database, "").holds("P-000078")


IGNORING_CASE = load_rules("""
Labels: []
ScopeToForward: {Labels: ALL}
Transformations:
  - Scope: {Labels: ALL}
    RandomizeText:
      - {TagPatterns: PatientID, ReuseMapping: Always, IgnoreCase: true}
      - {TagPatterns: PatientName, ReuseMapping: SamePatient}
    RandomizeUID: [{TagPatterns: [SOPInstanceUID, SeriesInstanceUID, StudyInstanceUID]}]
""")


def test_a_patient_whose_id_comes_in_any_case(
    ingest_database, research_orthanc, log_in_to_withdraw, monkeypatch, tmp_path, capsys
):
    """Mappings with IgnoreCase know the ID in lower case only: what may be missed is said, and found when asked for."""
    mappings = PostgresMappings(ingest_database.login("rpacs_deidentifier"))
    engine = Deidentifier(IGNORING_CASE, mappings)
    orthanc = Orthanc(research_orthanc.url, *research_orthanc.auth)
    results = [engine.deidentify(instance(*given)).data for given in (("Pat-77", 1), ("pAT-77", 2), ("Pat-78", 3))]
    assert len({pydicom.dcmread(io.BytesIO(data)).PatientID for data in results}) == 2
    for data in results:
        orthanc.upload(data)
    log_in_to_withdraw()
    monkeypatch.setenv("RPACS_WITHDRAWAL_KEY", KEY)
    patients = tmp_path / "patients"
    patients.write_text("PAT-77\n")
    command = ["withdraw", "--patients", str(patients), "--output"]
    assert main([*command, str(tmp_path / "first")]) == 1
    assert "--ignore-case" in capsys.readouterr().err
    assert orthanc.count_instances() == 3
    assert main([*command, str(tmp_path / "second"), "--ignore-case"]) == 0
    assert orthanc.count_instances() == 1
    with ingest_database.owner.transaction() as cursor:
        cursor.execute("SELECT lower(m::text) FROM ingest.mappings AS m")
        left = "\n".join(row for (row,) in cursor.fetchall())
    assert "pat-77" not in left
    assert "pat-78" in left
    withdrawn = Withdrawals(ingest_database.login("rpacs_deidentifier"), KEY).holds
    assert withdrawn("pAt-77")
    assert not withdrawn("pat-78")
