"""The Orthanc image's environment: everything that is wrong is said at once, by name."""

import subprocess
import sys
from pathlib import Path

import pytest

ORTHANC = Path(__file__).parents[2] / "orthanc"
GOOD = {
    "RPACS_ORTHANC_ROLE": "source",
    "RPACS_ORTHANC_USERNAME": "deidentifier",
    "RPACS_ORTHANC_PASSWORD": "correct-horse-battery",
}


def start(environ: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the entry point with a command that only prints its arguments in Orthanc's place."""
    return subprocess.run(
        [sys.executable, str(ORTHANC / "start.py"), "echo"],
        env={"PATH": "/usr/bin:/bin", "RPACS_ORTHANC_CONFIGURATION": str(tmp_path / "orthanc.json"), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_all_problems_at_once(tmp_path):
    answer = start({"RPACS_ORTHANC_ROLE": "both", "RPACS_ORTHANC_MODALITIES": "x"}, tmp_path)
    assert answer.returncode == 2
    for name in ("RPACS_ORTHANC_ROLE", "RPACS_ORTHANC_USERNAME", "RPACS_ORTHANC_PASSWORD", "RPACS_ORTHANC_MODALITIES"):
        assert name in answer.stderr
    assert not (tmp_path / "orthanc.json").exists()


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"RPACS_ORTHANC_PASSWORD": "1234567890123"}, "RPACS_ORTHANC_PASSWORD"),
        ({"RPACS_ORTHANC_PASSWORD": "short"}, "RPACS_ORTHANC_PASSWORD"),
        ({"RPACS_ORTHANC_AET": "SEVENTEEN_LETTERS"}, "RPACS_ORTHANC_AET"),
        ({"RPACS_ORTHANC_MODALITIES": "A=X@h:1, A=Y@h:2"}, "RPACS_ORTHANC_MODALITIES"),
        ({"RPACS_ORTHANC_SENDER_USERNAME": "sender"}, "RPACS_ORTHANC_SENDER_PASSWORD"),
        ({"RPACS_S3_DICOM_BUCKET_NAME": "images"}, "RPACS_S3_DICOM_AWS_REGION"),
        ({"RPACS_S3_DICOM_ENDPOINT": "minio:9000"}, "RPACS_S3_DICOM_ENDPOINT"),
        ({"RPACS_ORTHANC_EXTRA_JSON": "[1]"}, "RPACS_ORTHANC_EXTRA_JSON"),
        ({"RPACS_ORTHANC_EXTRA_JSON": "{"}, "RPACS_ORTHANC_EXTRA_JSON"),
        ({"RPACS_ORTHANC_HTTP_PORT": "70000"}, "RPACS_ORTHANC_HTTP_PORT"),
        ({"RPACS_ORTHANC_PASSWORD": "", "RPACS_ORTHANC_PASSWORD_FILE": "/nowhere"}, "RPACS_ORTHANC_PASSWORD_FILE"),
    ],
)
def test_bad_value_is_named(variables, named, tmp_path):
    answer = start(GOOD | variables, tmp_path)
    assert answer.returncode == 2
    assert named in answer.stderr
    assert "short" not in answer.stderr
    assert "1234567890123" not in answer.stderr


def test_bucket_without_the_plugin_does_not_start(tmp_path):
    """Orthanc alone would start, and keep the files on local disk."""
    answer = start(
        GOOD | {"RPACS_S3_DICOM_BUCKET_NAME": "images", "RPACS_S3_DICOM_AWS_REGION": "eu-central-1"}, tmp_path
    )
    assert answer.returncode == 2
    assert "libOrthancAwsS3Storage.so" in answer.stderr


def test_secrets_come_from_files_and_stay_private(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("correct-horse-battery\n")
    environ = {key: value for key, value in GOOD.items() if key != "RPACS_ORTHANC_PASSWORD"}
    answer = start(environ | {"RPACS_ORTHANC_PASSWORD_FILE": str(secret)}, tmp_path)
    assert answer.returncode == 0, answer.stderr
    file = tmp_path / "orthanc.json"
    assert '"correct-horse-battery"' in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert "correct-horse" not in answer.stdout + answer.stderr
