"""Debian's Orthanc with the configuration of both roles: who gets in, TLS, an index in PostgreSQL."""

import json

import pytest
import requests

from demo.servers.process import wait_until
from tests.helpers.certificates import Authority
from tests.helpers.orthanc_peers import client_context, forward, receive_by_tls, store, tls_modality
from tests.helpers.slices import make_slice

SUCCESS, REFUSED = 0, -1
LISTED_ONLY = {"RPACS_ORTHANC_ACCEPT_UNKNOWN_MODALITIES": "no", "RPACS_ORTHANC_MODALITIES": "CT1=SCANNER@localhost:104"}


@pytest.fixture(scope="module", params=["source", "research"])
def strict(request, make_orthanc):
    """Give an Orthanc of each role that takes images from one AE title."""
    return make_orthanc(request.param, environ=LISTED_ONLY)


def test_nobody_reads_without_a_password(strict):
    for path in ("/system", "/instances", "/dicom-web/studies", "/app/explorer.html"):
        assert requests.get(strict.url + path, timeout=30).status_code == 401, path
    assert requests.get(f"{strict.url}/system", auth=(strict.username, "wrong"), timeout=30).status_code == 401
    assert requests.get(f"{strict.url}/system", auth=strict.auth, timeout=30).ok


def test_only_listed_ae_titles_store(strict):
    assert store(make_slice(1), strict.dicom_port, strict.aet, calling_aet="SCANNER") == SUCCESS
    assert store(make_slice(2), strict.dicom_port, strict.aet, calling_aet="STRANGER") == REFUSED
    assert store(make_slice(3), strict.dicom_port, "OTHER_NAME", calling_aet="SCANNER") == REFUSED
    assert len(requests.get(f"{strict.url}/instances", auth=strict.auth, timeout=30).json()) == 1


def test_store_and_forward_by_tls(make_orthanc, tmp_path):
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    ours, scanner, receiver = (authority.issue(name) for name in ("orthanc", "scanner", "receiver"))
    with receive_by_tls(receiver) as peer:
        orthanc = make_orthanc(
            "source", environ={"RPACS_ORTHANC_DICOM_TLS_FOLDER": str(ours)}, options=tls_modality(peer.port)
        )
        tls = client_context(scanner, authority.trusted)
        assert store(make_slice(1), orthanc.dicom_port, orthanc.aet, tls=tls) == SUCCESS
        assert store(make_slice(2), orthanc.dicom_port, orthanc.aet) == REFUSED
        unknown = client_context(stranger.issue("stranger"), authority.trusted)
        assert store(make_slice(3), orthanc.dicom_port, orthanc.aet, tls=unknown) == REFUSED
        forward(orthanc.url, orthanc.auth)
        assert peer.arrived.wait(60)
        assert len(peer.uids) == 1


def test_index_in_postgresql_is_there_after_a_restart(make_orthanc, make_database, postgresql):
    database = make_database()
    orthanc = make_orthanc(
        "research",
        environ={
            "RPACS_ORTHANC_POSTGRESQL_HOSTNAME": database.server.host,
            "RPACS_ORTHANC_POSTGRESQL_PORT": str(database.server.port),
            "RPACS_ORTHANC_POSTGRESQL_DB_NAME": database.name,
            "RPACS_ORTHANC_POSTGRESQL_USERNAME": postgresql.superuser,
            "RPACS_ORTHANC_POSTGRESQL_PASSWORD": postgresql.password,
        },
    )
    before = _store_some(orthanc)
    orthanc.stop(kill=True)
    orthanc.restart()
    wait_until(lambda: _instances(orthanc) == before, "the instances", seconds=60)
    assert requests.get(f"{orthanc.url}/system", auth=orthanc.auth, timeout=30).json()["DatabaseBackendPlugin"]
    with database.owner.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM resources WHERE resourcetype = 3")
        assert cursor.fetchone() == (len(before),)
    orthanc.stop()


def _store_some(orthanc) -> list[str]:
    for number in range(1, 4):
        answer = requests.post(f"{orthanc.url}/instances", data=make_slice(number), auth=orthanc.auth, timeout=30)
        assert answer.json()["Status"] == "Success"
    return _instances(orthanc)


def _instances(orthanc) -> list[str]:
    return sorted(json.loads(requests.get(f"{orthanc.url}/instances", auth=orthanc.auth, timeout=30).text))
