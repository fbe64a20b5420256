"""The servers that demo and tests stand on."""

import pydicom.data
import pytest
import requests

from common.errors import ConfigurationError
from demo.servers.orthanc import start_orthanc
from demo.servers.postgresql import start_postgresql


def test_databases_are_the_tests_own(make_database):
    first, second = make_database(), make_database()
    with first.owner.transaction() as cursor:
        cursor.execute("CREATE TABLE here (x int)")
    with second.owner.transaction() as cursor:
        cursor.execute("SELECT to_regclass('here')")
        assert cursor.fetchone() == (None,)


def test_orthanc_stores_and_asks_for_a_password(source_orthanc):
    with open(pydicom.data.get_testdata_file("CT_small.dcm"), "rb") as file:
        data = file.read()
    answer = requests.post(f"{source_orthanc.url}/instances", data=data, auth=source_orthanc.auth, timeout=10)
    assert answer.json()["Status"] == "Success"
    assert requests.get(f"{source_orthanc.url}/system", timeout=10).status_code == 401


def test_orthanc_is_emptied_between_tests(source_orthanc):
    statistics = requests.get(f"{source_orthanc.url}/statistics", auth=source_orthanc.auth, timeout=10).json()
    assert statistics["CountInstances"] == 0


def test_s3_keeps_objects(s3):
    s3.client.put_object(Bucket=s3.name, Key="a/b", Body=b"content")
    assert s3.client.get_object(Bucket=s3.name, Key="a/b")["Body"].read() == b"content"


def test_a_taken_port_is_named(source_orthanc, tmp_path):
    with pytest.raises(ConfigurationError, match=rf"port {source_orthanc.http_port} .*HTTP is taken"):
        start_orthanc(tmp_path, "research", http_port=source_orthanc.http_port)
    with pytest.raises(ConfigurationError, match=rf"port {source_orthanc.http_port} .*PostgreSQL is taken"):
        start_postgresql(tmp_path, port=source_orthanc.http_port)
