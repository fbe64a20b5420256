"""``python -m deidentifier run`` as a process."""

import csv
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

RULES = """\
Labels:
- {Name: MR, DICOMQueryFilter: Modality StrEquals MR}
ScopeToForward: {Labels: ALL, ExceptLabels: MR}
Transformations:
- Scope: {Labels: ALL}
  ShiftDateTime:
  - {TagPatterns: "*/{DA}", ShiftBy: 100, PreserveIntervals: true, ReuseMapping: SamePatient}
  RandomizeText:
  - {TagPatterns: ["*/PatientName", "*/PatientID"], ReuseMapping: Always}
  RandomizeUID:
  - {TagPatterns: "*/{UI}"}
  DeleteTags:
  - {TagPatterns: ["*/XXX@XXXX", "OtherPatientIDsSequence"], Action: Remove}
  - {TagPatterns: ["*/{LO}", "*/{SH}"], ExceptTagPatterns: "*/PatientID", Action: Empty}
"""
CT = Path(get_testdata_file("CT_small.dcm"))
MR = Path(get_testdata_file("MR_small.dcm"))
TEXTS = ("1CT1", "CompressedSamples", "JFK IMAGING")


def copy(folder, name, patient="CompressedSamples^CT1", patient_id="1CT1", number=1):
    """Write a CT slice of a patient, with a UID of its own in one series."""
    dataset = pydicom.dcmread(CT)
    dataset.PatientName, dataset.PatientID = patient, patient_id
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)


@pytest.fixture
def run(root, tmp_path):
    """Return a function that runs the command; its rules are ``rules.yaml``, its output ``out``."""
    (tmp_path / "rules.yaml").write_text(RULES)

    def start(*arguments, rules=tmp_path / "rules.yaml", output=tmp_path / "out", environ=None):
        command = [sys.executable, "-m", "deidentifier", "run", "--rules", rules, "--output", output, *arguments]
        environ = {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true", **(environ or {})}
        return subprocess.run(
            [str(word) for word in command], cwd=root, env=environ, capture_output=True, text=True, timeout=240
        )

    return start


def outputs(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_keeps_its_layout(run, tmp_path):
    copy(tmp_path / "in", "a/1.dcm", number=1)
    copy(tmp_path / "in", "a/2.dcm", number=2)
    shutil.copy(MR, tmp_path / "in" / "mr.dcm")
    done = run(tmp_path / "in")
    assert done.returncode == 0, done.stderr
    assert outputs(tmp_path / "out") == ["a/1.dcm", "a/2.dcm"]
    assert "2 deidentified, 1 discarded, 0 failed" in done.stderr
    assert "mappings live in memory" in done.stderr
    first, second = (pydicom.dcmread(tmp_path / "out" / "a" / name) for name in ("1.dcm", "2.dcm"))
    assert first.PatientName == second.PatientName != "CompressedSamples^CT1"
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_a_run_imports_no_more_than_it_uses(root, tmp_path):
    # Each of these takes longer to import than the rules take for a hundred images.
    (tmp_path / "rules.yaml").write_text(RULES)
    copy(tmp_path / "in", "1.dcm")
    heavy = {"pydicom", "numpy", "boto3", "botocore", "rich", "psycopg2", "requests", "gdcm", "PIL", "spacy"}
    program = (
        "import sys; from deidentifier.__main__ import main; code = main(sys.argv[1:]);"
        f"print(*sorted({heavy} & {{*sys.modules}})); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "run", "--rules", tmp_path / "rules.yaml", "--output", tmp_path / "out"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root)}
    finished = subprocess.run([*command, tmp_path / "in"], env=environ, capture_output=True, text=True, timeout=240)
    assert (finished.returncode, finished.stdout) == (0, "\n"), finished.stderr
    assert outputs(tmp_path / "out") == ["1.dcm"]


def test_several_workers_share_their_mappings(run, tmp_path):
    for number in range(12):
        copy(tmp_path / "in", f"{number}.dcm", number=number)
    done = run(tmp_path / "in", "--workers", 2)
    assert done.returncode == 0, done.stderr
    results = [pydicom.dcmread(tmp_path / "out" / name) for name in outputs(tmp_path / "out")]
    assert len(results) == 12
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate"):
        assert len({str(result[keyword].value) for result in results}) == 1, keyword


def test_what_fails_is_listed_and_leaves_no_file(run, tmp_path):
    copy(tmp_path / "in", "good.dcm")
    (tmp_path / "in" / "bad.dcm").write_bytes(b"no DICOM at all, just text " * 20)
    (tmp_path / "in" / "cut.dcm").write_bytes(CT.read_bytes()[:2500])
    done = run(tmp_path / "in")
    assert done.returncode == 1
    assert outputs(tmp_path / "out") == ["good.dcm"]
    failed = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert [Path(line.split(": ")[1].split(" ", 1)[1]).name for line in failed] == ["bad.dcm", "cut.dcm"]
    assert all("InvalidDicom" in line for line in failed)
    assert "Traceback" not in done.stderr


def test_bad_rules_exit_2_before_anything_is_done(run, tmp_path):
    (tmp_path / "bad.yaml").write_text(RULES.replace("DeleteTags", "DeleteTag"))
    done = run(CT, rules=tmp_path / "bad.yaml")
    assert done.returncode == 2
    assert done.stderr == f"{tmp_path}/bad.yaml:12:3: DeleteTag: unknown key (did you mean DeleteTags?)\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["absent"], ["--workers", "0", "x"], []])
def test_wrong_usage_exits_2(run, arguments):
    assert run(*arguments).returncode == 2


def test_rules_that_are_not_there_exit_2(run, tmp_path):
    done = run(CT, rules=tmp_path / "absent.yaml")
    assert done.returncode == 2
    assert "absent.yaml" in done.stderr


def test_the_output_may_not_lie_inside_an_input(run, tmp_path):
    copy(tmp_path / "in", "1.dcm")
    done = run(tmp_path / "in", output=tmp_path / "in" / "out")
    assert done.returncode == 2
    assert "lies inside" in done.stderr


def test_results_are_renamed_after_their_new_uid(run, tmp_path):
    copy(tmp_path / "in", "Doe^John/1.dcm")
    assert run(tmp_path / "in", "--rename").returncode == 0
    (name,) = outputs(tmp_path / "out")
    assert name == f"{pydicom.dcmread(tmp_path / 'out' / name).SOPInstanceUID}.dcm"


def test_two_inputs_never_overwrite_each_other_s_result(run, tmp_path):
    copy(tmp_path / "a", "1.dcm", number=1)
    copy(tmp_path / "b", "1.dcm", number=2)
    done = run(tmp_path / "a", tmp_path / "b")
    assert done.returncode == 1
    assert outputs(tmp_path / "out") == ["1.dcm"]
    assert "same path below the output" in done.stderr


def test_the_same_instance_twice_is_renamed_once(run, tmp_path):
    copy(tmp_path / "in", "1.dcm")
    copy(tmp_path / "in", "2.dcm")
    copy(tmp_path / "in", "3.dcm", patient_id="another")
    done = run(tmp_path / "in", "--rename")
    assert done.returncode == 1
    assert "2 deidentified, 0 discarded, 1 failed" in done.stderr
    assert "another file became the same instance" in done.stderr


def test_the_report_holds_no_value_unless_asked(run, tmp_path):
    copy(tmp_path / "in", "Doe^John.dcm")
    assert run(tmp_path / "in", "--report", tmp_path / "report.jsonl").returncode == 0
    text = (tmp_path / "report.jsonl").read_text()
    assert not any(value in text for value in (*TEXTS, "Doe", "1.2.3.1"))
    (record,) = map(json.loads, text.splitlines())
    assert (record["number"], record["state"], record["labels"]) == (1, "deidentified", ["ALL"])
    changes = {change["path"]: change for change in record["changes"]}
    assert changes["PatientName"]["rules"] == ["RandomizeText:9"]
    assert changes["PatientName"]["outcome"] == "changed"
    assert changes["InstitutionName"]["outcome"] == "emptied"
    assert changes["OtherPatientIDsSequence"]["outcome"] == "removed"


def test_the_report_holds_values_when_asked_and_is_private(run, tmp_path):
    copy(tmp_path / "in", "Doe^John.dcm")
    run(tmp_path / "in", "--report", tmp_path / "report.jsonl", "--show-values")
    record = json.loads((tmp_path / "report.jsonl").read_text())
    assert record["file"].endswith("Doe^John.dcm")
    values = {value["path"]: value for value in record["values"]}
    assert values["PatientName"]["before"] == ["CompressedSamples^CT1"]
    assert len(values["PatientName"]["after"][0]) == 8
    assert values["InstitutionName"] == {
        "path": "InstitutionName", "vr": "LO", "before": ["JFK IMAGING CENTER"], "after": [],
    }  # fmt: skip
    assert values["OtherPatientIDsSequence"]["after"] is None
    assert stat.S_IMODE(os.stat(tmp_path / "report.jsonl").st_mode) == 0o600


def test_maps_of_identifiers(run, tmp_path):
    copy(tmp_path / "in", "1.dcm", number=1)
    copy(tmp_path / "in", "2.dcm", number=2)
    done = run(tmp_path / "in", "--uid-map", tmp_path / "uid.csv", "--patient-map", tmp_path / "patient.csv")
    assert done.returncode == 0
    result = pydicom.dcmread(tmp_path / "out" / "1.dcm")
    with open(tmp_path / "uid.csv", newline="") as file:
        uids = {row["id_old"]: row["id_new"] for row in csv.DictReader(file)}
    assert uids["1.2.3.1"] == result.SOPInstanceUID
    assert uids[pydicom.dcmread(CT).StudyInstanceUID] == result.StudyInstanceUID
    assert "1.2.3.2" in uids
    assert (tmp_path / "patient.csv").read_text() == f"id_old,id_new\n1CT1,{result.PatientID}\n"
    assert stat.S_IMODE(os.stat(tmp_path / "patient.csv").st_mode) == 0o600


def test_diff_prints_before_and_after(run, tmp_path):
    copy(tmp_path / "in", "1.dcm")
    done = run(tmp_path / "in", "--diff")
    lines = done.stdout.splitlines()
    assert lines[0] == f"1 {tmp_path}/in/1.dcm"
    name = str(pydicom.dcmread(tmp_path / "out" / "1.dcm").PatientName)
    assert f"  PatientName PN: CompressedSamples^CT1 -> {name}" in lines
    assert "  InstitutionName LO: JFK IMAGING CENTER -> (empty)" in lines
    assert not any(line.startswith("  Modality") for line in lines)


def test_nothing_identifying_is_printed_without_diff(run, tmp_path):
    copy(tmp_path / "in", "1.dcm")
    (tmp_path / "in" / "cut.dcm").write_bytes(CT.read_bytes()[:2500])
    done = run(tmp_path / "in")
    assert not any(text in done.stdout + done.stderr for text in TEXTS)


def test_archives_and_dicomdirs(run, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(CT, "folder/ct.dcm")
        archive.writestr("../../evil.dcm", CT.read_bytes())
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    done = run(tmp_path / "x.zip")
    assert done.returncode == 1
    assert outputs(tmp_path / "out") == ["x.zip/folder/ct.dcm"]
    assert not list(tmp_path.rglob("evil.dcm"))
    directory = get_testdata_file("DICOMDIR")
    listed = [r for r in pydicom.dcmread(directory).DirectoryRecordSequence if "ReferencedFileID" in r]
    done = run(directory, output=tmp_path / "out2")
    assert done.returncode == 0, done.stderr
    states = [int(part.split()[0]) for part in done.stderr.splitlines()[-1].split(", ")]
    assert sum(states) == len(listed)
    assert not (tmp_path / "out2" / "DICOMDIR").exists()


def test_an_archive_larger_than_the_limit_is_refused(run, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(2 << 20))
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    done = run(tmp_path / "x.zip", environ={"RPACS_MAX_INFLATED_BYTES": str(1 << 20)})
    assert done.returncode == 1
    assert "Refused: the ZIP archive would grow beyond 1048576 bytes" in done.stderr


def test_from_s3_to_s3(run, tmp_path, s3):
    s3.client.put_object(Bucket=s3.name, Key="rules.yaml", Body=RULES.encode())
    s3.client.put_object(Bucket=s3.name, Key="in/a/ct.dcm", Body=CT.read_bytes())
    environ = {
        "RPACS_S3_ENDPOINT": s3.server.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": s3.server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.server.secret_key,
    }
    done = run(f"s3://{s3.name}/in", rules=f"s3://{s3.name}/rules.yaml", output=f"s3://{s3.name}/out", environ=environ)
    assert done.returncode == 0, done.stderr
    data = s3.client.get_object(Bucket=s3.name, Key="out/a/ct.dcm")["Body"].read()
    assert pydicom.dcmread(io.BytesIO(data)).PatientID != "1CT1"


def test_mappings_live_in_the_database_where_there_is_one(run, tmp_path, ingest_database):
    copy(tmp_path / "in", "1.dcm")
    environ = ingest_database.environ("rpacs_deidentifier")
    names = []
    for output in ("first", "second"):
        done = run(tmp_path / "in", output=tmp_path / output, environ=environ)
        assert done.returncode == 0, done.stderr
        assert "memory" not in done.stderr
        names.append((tmp_path / output / "1.dcm").read_bytes())
    assert names[0] == names[1]


def test_incomplete_settings_of_the_database_exit_2(run):
    done = run(CT, environ={"RPACS_POSTGRESQL_HOSTNAME": "somewhere"})
    assert done.returncode == 2
    assert "RPACS_POSTGRESQL_PASSWORD" in done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_vocabulary_that_cannot_be_read_ends_it_before_it_begins(run, tmp_path, workers):
    copy(tmp_path / "in", "1.dcm")
    done = run(tmp_path / "in", "--workers", workers, environ={"RPACS_VOCABULARY_FILE": str(tmp_path / "none.txt")})
    assert done.returncode == 2
    assert "RPACS_VOCABULARY_FILE" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
