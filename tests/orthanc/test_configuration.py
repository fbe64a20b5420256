"""The two configurations as JSON: S3 and PostgreSQL sections, extra JSON, what is shut."""

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture
def modules(monkeypatch):
    """Give the image's two modules, which live outside any package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "orthanc"))
    for name in ("variables", "configuration"):
        sys.modules.pop(name, None)
    yield importlib.import_module("variables"), importlib.import_module("configuration")
    for name in ("variables", "configuration"):
        sys.modules.pop(name, None)


@pytest.fixture
def render(modules, tmp_path):
    """Give a function that renders the configuration of some variables, every plugin installed."""
    variables, configuration = modules
    for name in ("libOrthancDicomWeb.so", "libOrthancPostgreSQLIndex.so", "libOrthancAwsS3Storage.so"):
        (tmp_path / name).touch()

    def render(**given):
        environ = {
            "RPACS_ORTHANC_ROLE": "research",
            "RPACS_ORTHANC_USERNAME": "portal",
            "RPACS_ORTHANC_PASSWORD": "correct-horse-battery",
            "RPACS_ORTHANC_PLUGINS_FOLDER": str(tmp_path),
        }
        return configuration.render(variables.read(environ | given))

    return render


S3 = {"RPACS_S3_DICOM_BUCKET_NAME": "images", "RPACS_S3_DICOM_AWS_REGION": "eu-central-1"}


def test_amazon_needs_bucket_and_region_only(render):
    section = render(**S3)["AwsS3Storage"]
    assert section["BucketName"] == "images"
    assert section["Region"] == "eu-central-1"
    assert not {"AccessKey", "Endpoint", "VirtualAddressing", "ConnectionTimeout"} & set(section)


def test_another_s3_server_is_addressed_by_path(render):
    section = render(
        **S3,
        RPACS_S3_DICOM_ENDPOINT="http://s3:9000",
        RPACS_S3_DICOM_ACCESS_KEY="key",
        RPACS_S3_DICOM_SECRET_KEY="secret",
        RPACS_S3_DICOM_KEY_PREFIX="/dicom/",
    )["AwsS3Storage"]
    assert section["Endpoint"] == "http://s3:9000"
    assert section["VirtualAddressing"] is False
    assert section["RootPath"] == "dicom", "a leading slash stops Orthanc"
    assert section["RequestTimeout"] <= 60, "the default lets a sender wait for 20 minutes"


def test_index_in_postgresql(render):
    configuration = render(
        RPACS_ORTHANC_POSTGRESQL_HOSTNAME="db",
        RPACS_ORTHANC_POSTGRESQL_PASSWORD="pw",
        RPACS_ORTHANC_POSTGRESQL_TLS="yes",
    )
    assert configuration["PostgreSQL"]["EnableStorage"] is False
    assert configuration["PostgreSQL"]["EnableSsl"] is True
    assert configuration["PostgreSQL"]["Lock"] is False
    assert configuration["PostgreSQL"]["TransactionMode"] == "ReadCommitted"
    assert any(plugin.endswith("PostgreSQLIndex.so") for plugin in configuration["Plugins"])


def test_extra_json_is_merged_over(render):
    configuration = render(RPACS_ORTHANC_EXTRA_JSON='{"StableAge": 5, "DicomWeb": {"EnableWado": true}}')
    assert configuration["StableAge"] == 5
    assert configuration["DicomWeb"] == {"Enable": True, "Root": "/dicom-web/", "EnableWado": True, "Ssl": False}


@pytest.mark.parametrize("role", ["source", "research"])
def test_what_must_be_shut_is_shut(render, role):
    configuration = render(RPACS_ORTHANC_ROLE=role)
    shut = ["ExecuteLuaEnabled", "RestApiWriteToFileSystemEnabled", "WebDavEnabled", "DicomAlwaysAllowStore"]
    shut += [f"DicomAlwaysAllow{verb}" for verb in ("Echo", "Find", "FindWorklist", "Get", "Move")]
    assert [key for key in shut if configuration[key] is not False] == []
    assert configuration["AuthenticationEnabled"]
    assert configuration["DicomCheckCalledAet"]
    assert configuration["OverwriteInstances"]
    assert configuration["MaximumStorageSize"] == 0
    assert configuration["DicomAet"] == f"RPACS_{role.upper()}"
