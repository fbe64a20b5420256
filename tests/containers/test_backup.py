"""Both sides backed up, lost, restored: found again, with the keys that the data was made with."""

from __future__ import annotations

import subprocess

import pytest

from tests.containers.engine import run, wait_until
from tests.containers.platform import ROOT, Compose, find
from tests.containers.test_smoke import send
from tests.helpers.slices import make_slice

SCRIPT = str(ROOT / "containers" / "backup.sh")


@pytest.fixture(scope="module")
def identities(platform, tmp_path_factory):
    """Give two pairs of keys, as age-keygen makes them."""
    folder, environ = tmp_path_factory.mktemp("identities"), {}
    for name in ("", "KEYS_"):
        made = platform.engine.docker("exec", platform.containers("postgresql")[0], "age-keygen")
        # Without the line that age-keygen prints beside its output.
        made = "".join(line for line in made.splitlines(keepends=True) if not line.startswith("Public key:"))
        (folder / f"{name}identity").write_text(made)
        (public,) = (line.split()[-1] for line in made.splitlines() if line.startswith("# public key"))
        environ |= {f"RPACS_BACKUP_{name}RECIPIENT": public, f"RPACS_BACKUP_{name}IDENTITY": f"{folder}/{name}identity"}
    return environ


def mappings(compose: Compose) -> str:
    return compose.sql("SELECT md5(string_agg(m::text, ',' ORDER BY m::text)) FROM ingest.mappings AS m")


def pseudonym_key(compose: Compose) -> bytes:
    return (compose.folder / "secrets" / "deidentifier" / "deidentifier_pseudonym_key").read_bytes()


def test_both_sides_come_back(platform, identities, tmp_path):
    compose = platform
    assert send(compose, [make_slice(number, patient="BACKUP", series=801) for number in range(1, 6)]) == [0] * 5
    wait_until(lambda: len(find(compose.log_in(), compose.url, "SeriesNumber NbEquals 801")) == 5, "the series", 90)
    before = {row["SOPInstanceUID"] for row in find(compose.log_in(), compose.url)}
    known = mappings(compose), pseudonym_key(compose)
    environ = {**compose.environment(), **identities}
    names = {}
    for side in ("ingest", "research"):
        names[side] = run(["bash", SCRIPT, "backup", side, f"{tmp_path}/data", f"{tmp_path}/keys"], environ=environ)
    check_what_lies_where(compose, tmp_path, identities)
    # All is lost but the backups: another server, with passwords of its own.
    compose.down()
    run(["rm", "-r", str(compose.folder / "secrets"), str(compose.folder / "config")])
    compose.make_secrets()
    compose.up()
    for side, name in names.items():
        command = ["bash", SCRIPT, "restore", side, f"{tmp_path}/data", f"{tmp_path}/keys", name.strip()]
        run(command, environ=environ)
    compose.up()
    assert {row["SOPInstanceUID"] for row in find(compose.log_in(), compose.url)} == before
    assert (mappings(compose), pseudonym_key(compose)) == known
    instance = find(compose.log_in(), compose.url, "SeriesNumber NbEquals 801")[0]
    assert instance
    verified = compose.exec("workers", "python3", "-m", "website", "audit", "verify", timeout=120)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    # The pipeline goes on, and a patient who comes again is the same as before.
    assert send(compose, [make_slice(6, patient="BACKUP", series=801)]) == [0]
    wait_until(lambda: len(find(compose.log_in(), compose.url, "SeriesNumber NbEquals 801")) == 6, "the next", 120)
    rows = find(compose.log_in(), compose.url, "SeriesNumber NbEquals 801")
    assert len({row["SeriesInstanceUID"] for row in rows}) == 1


def check_what_lies_where(compose: Compose, folder, identities) -> None:
    """Nothing is readable without the private keys; what mappings were derived with is not among the data."""
    files = list(folder.rglob("*.age"))
    assert sorted((file.parent.name, file.name.split("-")[0], file.name.split(".")[1]) for file in files) == [
        *[("data", "ingest", part) for part in ("config", "database")],
        *[("data", "research", part) for part in ("config", "database", "files", "orthanc", "s3")],
        *[("keys", "ingest", part) for part in ("keys", "secret")],
        ("keys", "research", "keys"),
    ]
    assert all(file.read_bytes().startswith(b"age-encryption.org/v1") for file in files)
    for file in (folder / "data").glob("ingest-*.database.age"):
        opened = subprocess.run(
            ["docker", "exec", "-i", compose.containers("postgresql")[0], "sh", "-c",
             f"echo '{identity(identities)}' > /tmp/i; age -d -i /tmp/i | pg_restore --file=- ; rm /tmp/i"],
            env={"PATH": "/usr/bin:/bin", **compose.engine.environ}, input=file.read_bytes(), capture_output=True,
            check=True, timeout=120,
        ).stdout  # fmt: skip
        assert b"COPY ingest.mappings" in opened
        assert pseudonym_key(compose) not in opened
    refused = run_backup(
        compose, identities | {"RPACS_BACKUP_KEYS_RECIPIENT": identities["RPACS_BACKUP_RECIPIENT"]}, folder
    )
    assert refused.returncode != 0
    assert "must differ" in refused.stderr


def identity(identities: dict[str, str]) -> str:
    with open(identities["RPACS_BACKUP_IDENTITY"]) as file:
        return file.read().splitlines()[-1]


def run_backup(compose: Compose, identities: dict[str, str], folder) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", **compose.environment(), **identities}
    command = ["bash", SCRIPT, "backup", "ingest", f"{folder}/data", f"{folder}/keys"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
