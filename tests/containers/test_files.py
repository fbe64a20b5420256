"""docker-compose.yml, Dockerfiles and secrets by themselves: no engine is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(file for file in ROOT.glob("*/**/Dockerfile") if ".venv" not in file.parts)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWNERS = {"postgresql": 999, "deidentifier": 10001, "orthanc": 10002, "website": 10003, "s3": 10005}
# administer, a tool that is run by hand, deletes research instances of patients who withdrew.
ON_BOTH = {"postgresql", "deidentifier", "administer"}


def program(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is not installed: run make setup"
    return found


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_hadolint_finds_nothing(file):
    answer = run(program("hadolint"), str(file))
    assert (answer.returncode, answer.stdout) == (0, "")


def test_the_compose_linter_finds_nothing():
    answer = run(program("compose-lint"), "--fail-on", "low", "--strict-config", "docker-compose.yml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_locked_down(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert {"mem_limit", "cpus", "pids_limit", "profiles", "networks"} <= set(service)
    assert not [volume for volume in service.get("volumes", []) if "docker.sock" in volume]


def test_no_further_service_is_on_both_networks():
    both = {name for name, service in SERVICES.items() if set(service["networks"]) == {"ingest", "research"}}
    assert both == ON_BOTH
    assert all(SERVICES[name]["sysctls"] == {"net.ipv4.ip_forward": "0"} for name in both)


def test_no_dependency_crosses_the_sides():
    for name, service in SERVICES.items():
        for other in service.get("depends_on", {}):
            if other != "postgresql":
                sides = [{"ingest"} if each in ON_BOTH else set(SERVICES[each]["networks"]) for each in (name, other)]
                assert sides[0] == sides[1], (name, other)


def test_each_secret_goes_to_one_kind_of_container_and_is_made(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("files are given to other users: root alone can")
    folders = {"RPACS_SECRETS": str(tmp_path / "secrets"), "RPACS_CONFIG": str(tmp_path / "config")}
    assert run("bash", "containers/secrets.sh", **folders).returncode == 0
    made = {file.name: file for file in (tmp_path / "secrets").rglob("*") if file.is_file()}
    assert set(made) == set(COMPOSE["secrets"])
    for name, file in made.items():
        assert COMPOSE["secrets"][name]["file"] == f"${{RPACS_SECRETS:-./secrets}}/{file.parent.name}/{name}"
        status = file.stat()
        assert (status.st_uid, status.st_mode & 0o777) == (OWNERS[file.parent.name], 0o400)
        images = {
            service["image"].split("/")[1].split(":")[0]
            for service in SERVICES.values()
            if name in service.get("secrets", [])
        }
        assert images == {file.parent.name}, name
        assert len(file.read_text()) >= 32
    before = {name: file.read_text() for name, file in made.items()}
    made["website_postgresql"].unlink()
    assert run("bash", "containers/secrets.sh", **folders).returncode == 0
    assert {name: file.read_text() for name, file in made.items()} == before, (
        "what exists is kept, what is lost is its twin's"
    )
    assert before["website_postgresql"] == before["postgresql_website"]
    assert len({before["website_postgresql"], before["deidentifier_postgresql"], before["website_audit_key"]}) == 3


def test_users_of_images_and_secrets_are_the_same():
    for folder, owner in OWNERS.items():
        (file,) = [file for file in DOCKERFILES if file.parent.name == folder]
        assert re.findall(r"^USER (\d+):", file.read_text(), re.M)[-1] == str(owner)


def test_no_compiler_and_nothing_unpinned():
    for file in DOCKERFILES:
        text = file.read_text()
        assert not re.search(r"\b(gcc|g\+\+|build-essential|python3-dev|make)\b", text), file
        base = re.search(r"^ARG BASE=(\S+)$", text, re.M)
        assert base, file
        assert re.search(r":[\w.-]*\d|:trixie-slim$", base[1]), file
        assert ":latest" not in text
        assert text.count("pip install") == text.count("--require-hashes"), file
        assert "org.opencontainers.image.title" in text
        assert "HEALTHCHECK" in text


def test_variables_of_the_example_are_variables_of_the_file():
    used = set(re.findall(r"\$\{(\w+)[:}-]", (ROOT / "docker-compose.yml").read_text()))
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert named - used == {"COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"}
    example = (ROOT / ".env.example").read_text()
    assert re.search(r"^COMPOSE_PROFILES=all$", example, re.M)


def test_commands_of_the_file_are_commands_of_ours():
    for service in SERVICES.values():
        words = service.get("command", [])
        if "deidentifier" in service["image"] and "entrypoint" not in service:
            assert (ROOT / "deidentifier" / "commands" / f"{words[0]}.py").exists()
        elif "website" in service["image"] and words[:2] == ["python3", "-m"]:
            assert (ROOT / "website" / "commands" / f"{words[3]}.py").exists()
