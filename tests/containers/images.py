"""Base images for where no registry of images can be reached: made of Debian's packages and of a wheel.

They stand in for debian:trixie-slim, orthancteam/orthanc, postgres, versity/versitygw and caddy by the build
arguments of docker-compose.yml; what our own Dockerfiles do above them is what is tested.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.containers.engine import Engine, UnavailableError, run

DEBIAN, ORTHANC, POSTGRESQL, S3, PROXY = (
    f"research-pacs-test/{name}:trixie" for name in ("debian", "orthanc", "postgresql", "s3", "proxy")
)
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
# How pip inside finds what pip here finds: the certificates of this machine, whatever stands between it and PyPI.
_PIP = "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\ntimeout = 120\nretries = 5\n"
_DPKG = "path-exclude /usr/share/doc/*\npath-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n"
_APT = 'APT::Install-Recommends "false";\nAcquire::Retries "3";\n'
_CERTIFICATES = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
# The S3 server's command line, served by rclone.
_VERSITYGW = """#!/bin/sh
for folder; do :; done
export RCLONE_AUTH_KEY="\\"$ROOT_ACCESS_KEY,$ROOT_SECRET_KEY\\"" RCLONE_CONFIG=/dev/null RCLONE_CACHE_DIR=/tmp/rclone
exec rclone serve s3 --addr :7070 "$folder"
"""


def make_bases(engine: Engine, names: Iterable[str]) -> None:
    """Make the base images that are not there yet."""
    for name in names:
        if engine.try_docker("image", "inspect", name).returncode != 0:
            _MAKERS[name](engine, name)


def _debian(engine: Engine, name: str) -> None:
    with tempfile.TemporaryDirectory(dir=engine.folder) as folder:
        root = Path(folder) / "root"
        try:
            run(["debootstrap", "--variant=minbase", "trixie", str(root), MIRROR])
        except AssertionError as exc:  # nothing of ours is in it
            raise UnavailableError(f"no base image: {exc}") from exc
        (root / "etc/pip.conf").write_text(_PIP)
        (root / "etc/apt/apt.conf.d/80build").write_text(_APT)
        (root / "etc/dpkg/dpkg.cfg.d/docker").write_text(_DPKG)
        (root / "usr/local/share/ca-certificates").mkdir(parents=True, exist_ok=True)
        shutil.copy(_CERTIFICATES, root / "usr/local/share/ca-certificates/build.crt")
        for useless in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / useless, ignore_errors=True)
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        (root / "var/lib/apt/lists/partial").mkdir(parents=True)
        run(["tar", "-C", str(root), "-cf", f"{folder}/root.tar", "."])
        engine.docker("import", f"{folder}/root.tar", name)


def _with_packages(engine: Engine, name: str, packages: str, before: str = "true") -> None:
    dockerfile = f"FROM {DEBIAN}\nRUN {before} && apt-get update && apt-get install -y {packages} && apt-get clean\n"
    engine.docker("build", "--network", "host", "--tag", name, "-", given=dockerfile)


def _postgresql(engine: Engine, name: str) -> None:
    # The user of the official image, before Debian's package makes one of its own.
    user = "groupadd --gid 999 postgres && useradd --uid 999 --gid 999 --home /var/lib/postgresql postgres"
    _with_packages(engine, name, "postgresql-17", before=user)


def _s3(engine: Engine, name: str) -> None:
    rclone = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    assert rclone, "rclone is not installed: run make setup"
    with tempfile.TemporaryDirectory(dir=engine.folder) as folder:
        shutil.copy(Path(rclone).resolve(), Path(folder) / "rclone")
        (Path(folder) / "versitygw").write_text(_VERSITYGW)
        (Path(folder) / "Dockerfile").write_text(
            f"FROM {DEBIAN}\nRUN apt-get update && apt-get install -y ca-certificates netcat-openbsd && apt-get clean\n"
            "COPY rclone versitygw /usr/local/bin/\nRUN chmod 755 /usr/local/bin/*\n"
        )
        engine.docker("build", "--network", "host", "--tag", name, folder)


_MAKERS = {
    DEBIAN: _debian,
    ORTHANC: lambda engine, name: _with_packages(engine, name, "orthanc orthanc-dicomweb orthanc-postgresql"),
    POSTGRESQL: _postgresql,
    S3: _s3,
    PROXY: lambda engine, name: _with_packages(engine, name, "caddy netcat-openbsd"),
}
