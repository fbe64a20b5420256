"""Sent by C-STORE from outside, found in the portal; each side is shut off from the other."""

from __future__ import annotations

import io

import pydicom
import pytest
from pynetdicom import AE, Association
from pynetdicom.sop_class import CTImageStorage

from demo.send import AE_TITLE
from tests.containers.engine import wait_until
from tests.containers.platform import EVERYTHING, ONE_SHOT, RESEARCH_SIDE, Compose, find
from tests.helpers.slices import make_slice

_CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3); print('CONNECTED')"


def send(compose: Compose, slices: list[bytes], aet: str = AE_TITLE) -> list[int]:
    """Send slices from outside; return the answers' status (-1: no association).

    What gets no answer is sent again on another association, as a modality does: pynetdicom's own thread takes an
    answer now and then that its caller waits for.
    """
    statuses: list[int] = []
    for _ in range(5):
        association = associate(compose, aet)
        if not association.is_established:
            return [-1] * len(slices)
        statuses += store_until_silence(association, slices[len(statuses) :])
        if len(statuses) == len(slices):
            association.release()
            break
        association.abort()
    return statuses


def associate(compose: Compose, aet: str) -> Association:
    """Ask for an association for CT images."""
    sender = AE(ae_title=aet)
    sender.add_requested_context(CTImageStorage)
    sender.dimse_timeout = 10
    return sender.associate("127.0.0.1", compose.dicom_port, ae_title="RPACS_SOURCE")


def store_until_silence(association: Association, slices: list[bytes]) -> list[int]:
    """Store slices until one gets no answer; return the others' status."""
    statuses: list[int] = []
    for data in slices:
        answer = association.send_c_store(pydicom.dcmread(io.BytesIO(data))) if association.is_established else {}
        if "Status" not in answer:
            break
        statuses.append(int(answer.Status))
    return statuses


def test_what_is_sent_is_found_without_its_identity(platform):
    assert send(platform, [make_slice(number, patient="SMOKE") for number in range(1, 6)]) == [0] * 5
    session = platform.log_in()
    wait_until(lambda: len(find(session, platform.url, "Modality StrEquals CT")) >= 5, "the instances", 90)
    found = find(session, platform.url)
    assert "SMOKE" not in str(found)
    done = "SELECT count(*) FROM ingest.tasks WHERE state = 'done'"
    wait_until(lambda: int(platform.sql(done)) >= 5, "the tasks", 30)


def test_an_unlisted_sender_is_refused(platform):
    assert send(platform, [make_slice(99)], aet="STRANGER") == [-1]


@pytest.mark.parametrize("service", RESEARCH_SIDE)
def test_the_research_side_cannot_reach_the_ingest_side(platform, service):
    source, console = (platform.address(name, "ingest") for name in ("source-orthanc", "console"))
    gateway = platform.inspect(service)["NetworkSettings"]["Networks"][f"{platform.project}_research"]["Gateway"]
    if service in ("s3",):  # no Python there
        for host, port in ((source, 8042), (source, 4242), (console, 8081), ("source-orthanc", 8042)):
            assert platform.exec(service, "nc", "-z", "-w", "3", host, str(port)).returncode != 0, (host, port)
        assert platform.exec(service, "nc", "-z", "-w", "3", "research-orthanc", "8042").returncode == 0
        return
    for host, port in (
        (source, 8042),
        (source, 4242),
        (console, 8081),
        ("source-orthanc", 8042),
        ("console", 8081),
        (platform.address("postgresql", "ingest"), 5432),
        (gateway, platform.console_port),
        (gateway, platform.dicom_port),
    ):
        answer = platform.exec(service, "python3", "-c", _CONNECT, host, str(port))
        assert "CONNECTED" not in answer.stdout, (service, host, port)
    # The check itself can connect: what is on its own side answers.
    assert "CONNECTED" in platform.exec(service, "python3", "-c", _CONNECT, "postgresql", "5432").stdout


@pytest.mark.parametrize(
    ("service", "user", "password"),
    [
        ("portal", "rpacs_website", "website_postgresql"),
        ("workers", "rpacs_website", "website_postgresql"),
    ],
)
def test_the_research_side_cannot_read_mappings_or_tasks(platform, service, user, password):
    program = (
        "import psycopg2, sys\n"
        f"connection = psycopg2.connect(host='postgresql', dbname='research_pacs', user='{user}',"
        f" password=open('/run/secrets/{password}').read())\n"
        "connection.autocommit = True\n"
        "cursor = connection.cursor()\n"
        "for table in sys.argv[1:]:\n"
        "    try:\n"
        "        cursor.execute(f'SELECT count(*) FROM {table}')\n"
        "        print(table, 'READ')\n"
        "    except psycopg2.Error as exc:\n"
        "        print(table, exc.pgcode)\n"
    )
    tables = ("ingest.mappings", "ingest.mapping_secret", "ingest.tasks", "ingest.submissions", "research.tasks")
    answer = platform.exec(service, "python3", "-c", program, *tables)
    denied = [f"{table} 42501" for table in tables[:-1]]
    assert answer.stdout.split("\n")[:-1] == [*denied, "research.tasks READ"], answer.stdout + answer.stderr


def test_neither_side_owns_the_other(platform):
    """Whoever has the research side's strongest password still reads nothing of the ingest side."""
    owners = ("rpacs_migrate_research", "rpacs_website", "orthanc_research")
    for role in owners:
        for table in ("ingest.mappings", "ingest.mapping_secret", "ingest.tasks"):
            assert platform.sql(f"SELECT has_table_privilege('{role}', '{table}', 'SELECT')") == "f", (role, table)
        assert platform.sql(f"SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = '{role}'") == "f"
    assert platform.sql("SELECT has_database_privilege('rpacs_website', 'orthanc_research', 'CONNECT')") == "f"
    assert platform.sql("SELECT has_database_privilege('orthanc_research', 'research_pacs', 'CONNECT')") == "f"


@pytest.mark.parametrize("service", EVERYTHING)
def test_containers_are_locked_down(platform, service):
    inspected = platform.inspect(service)
    host, config = inspected["HostConfig"], inspected["Config"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert not host["Privileged"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert config["User"].split(":")[0] not in ("", "0", "root")
    status = platform.exec(service, "cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert platform.exec(service, "touch", "/usr/written").returncode != 0


@pytest.mark.parametrize("service", EVERYTHING)
def test_secrets_are_readable_by_their_service_alone(platform, service):
    mounted = platform.exec(service, "ls", "-ln", "/run/secrets").stdout.splitlines()
    user = platform.inspect(service)["Config"]["User"].split(":")[0]
    rows = [line.split() for line in mounted if not line.startswith("total")]
    assert rows
    assert {(row[0][:10], row[2]) for row in rows} == {("-r--------", user)}


def test_no_secret_in_what_the_engine_shows(platform):
    secrets = [file.read_text() for file in (platform.folder / "secrets").rglob("*") if file.is_file()]
    assert len(secrets) > 20
    shown = platform.engine.docker("inspect", *(platform.containers(name)[0] for name in (*EVERYTHING, *ONE_SHOT)))
    shown += platform("logs", "--no-color")
    names = ("deidentifier", "website", "orthanc", "postgresql", "s3")
    for name in names:
        shown += platform.engine.docker("history", "--no-trunc", f"research-pacs/{name}:test")
    assert not [secret for secret in secrets if secret in shown]


def test_a_stopped_container_ends_by_itself(platform):
    """PID 1 hands on SIGTERM: nothing has to be killed (137)."""
    platform("stop", "workers", "follower", "portal", "console")
    for service in ("workers", "follower", "portal", "console"):
        assert platform.inspect(service)["State"]["ExitCode"] in (0, 143), service
    platform("start", "workers", "follower", "portal", "console")


@pytest.mark.parametrize(("name", "megabytes"), [("deidentifier", 250), ("website", 200)])
def test_an_image_adds_little_to_its_base(platform, name, megabytes):
    """What finds burned-in text is a layer of its own, and not counted."""
    lines = platform.engine.docker(
        "history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", f"research-pacs/{name}:test"
    ).splitlines()
    sizes = {line.split(" ", 1)[1]: int(line.split(" ", 1)[0]) for line in lines[:-1] if line.split(" ")[0] != "0"}
    assert any("/opt/venv" in made for made in sizes)
    assert sum(size for made, size in sizes.items() if "/opt/ocr" not in made.split("#")[0]) <= megabytes * 10**6
