#!/usr/bin/env python3
"""Tell whether Orthanc is ready: the image's health check. Exit code 0 or 1, one line on standard error.

Orthanc never looks at S3 when it starts, so an answer to ``/system`` says nothing about the storage. The research
Orthanc therefore stores, reads back and deletes a tiny instance, at the first check and then at most every five
minutes. Its UIDs are fixed (PS3.5 B.2, ``2.25.`` and a UUID), hence so are its identifiers in Orthanc, which the
follower of the change feed, the index and the counts leave out (``common.orthanc.READINESS_INSTANCE``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import struct
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import variables

UID_ROOT = "2.25.211763340951183190498104861462118450127"
PATIENT_ID = "RESEARCH-PACS-READINESS"
STUDY_UID, SERIES_UID, SOP_UID = (f"{UID_ROOT}.{number}" for number in (1, 2, 3))
INTERVAL = 300
_RAW_DATA_STORAGE = "1.2.840.10008.5.1.4.1.1.66"
_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


class NotReadyError(Exception):
    """Orthanc or its storage does not work; the message says which step failed."""


def instance_id() -> str:
    """Compute Orthanc's identifier of the instance: SHA-1 of its four identifiers (Orthanc Book, "Orthanc IDs")."""
    digest = hashlib.sha1("|".join([PATIENT_ID, STUDY_UID, SERIES_UID, SOP_UID]).encode()).hexdigest()  # noqa: S324
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def make_instance() -> bytes:
    """Write the instance, a Part 10 file without pixels (PS3.10 7.1); its date makes each one another."""
    meta = _element(2, 1, "OB", b"\0\1") + b"".join(
        _element(2, number, "UI", uid.encode())
        for number, uid in (
            (2, _RAW_DATA_STORAGE),
            (3, SOP_UID),
            (0x10, _EXPLICIT_VR_LITTLE_ENDIAN),
            (0x12, f"{UID_ROOT}.4"),
        )
    )
    dataset = b"".join(
        _element(group, number, vr, value.encode())
        for group, number, vr, value in (
            (0x08, 0x16, "UI", _RAW_DATA_STORAGE),
            (0x08, 0x18, "UI", SOP_UID),
            (0x08, 0x20, "DA", time.strftime("%Y%m%d")),
            (0x08, 0x30, "TM", time.strftime("%H%M%S")),
            (0x08, 0x60, "CS", "OT"),
            (0x10, 0x20, "LO", PATIENT_ID),
            (0x20, 0x0D, "UI", STUDY_UID),
            (0x20, 0x0E, "UI", SERIES_UID),
        )
    )
    return b"\0" * 128 + b"DICM" + _element(2, 0, "UL", struct.pack("<I", len(meta))) + meta + dataset


def _element(group: int, number: int, vr: str, value: bytes) -> bytes:
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    length = struct.pack("<xxI", len(value)) if vr == "OB" else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + vr.encode() + length + value


class Client:
    """Orthanc's REST API on this machine, as far as it is needed here."""

    def __init__(self, port: int, username: str, password: str, *, tls: bool) -> None:
        self._base = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self._authorization = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send one request; raises :class:`NotReadyError` on anything but success."""
        request = urllib.request.Request(self._base + path, data=body, method=method)  # noqa: S310 - own address
        request.add_header("Authorization", self._authorization)
        try:
            with urllib.request.urlopen(request, timeout=8, context=self._context()) as answer:  # noqa: S310
                return bytes(answer.read())
        except (urllib.error.URLError, OSError) as exc:
            raise NotReadyError(f"{method} {path.split('/')[1]}: {getattr(exc, 'code', type(exc).__name__)}") from exc

    def _context(self) -> ssl.SSLContext | None:
        if not self._base.startswith("https"):
            return None
        # The certificate is for the name that others call; this is the machine itself.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def check(client: Client, *, stores: bool, stamp: Path) -> None:
    """Check Orthanc, and its storage where the last check of it is too old.

    Raises
    ------
    NotReadyError
        Says which step failed.
    """
    client.request("GET", "/system")
    if not stores or (stamp.exists() and time.time() - stamp.stat().st_mtime < INTERVAL):
        return
    data = make_instance()
    answer = json.loads(client.request("POST", "/instances", data))
    if answer.get("Status") not in {"Success", "AlreadyStored"}:
        raise NotReadyError(f"storing answers {answer.get('Status')}")
    try:
        if client.request("GET", f"/instances/{instance_id()}/file") != data:
            raise NotReadyError("the storage gives back other bytes than were stored")
    finally:
        client.request("DELETE", f"/instances/{instance_id()}")
    stamp.touch()


def main() -> None:
    """Check the Orthanc of this container."""
    values = variables.read()
    client = Client(
        values["RPACS_ORTHANC_HTTP_PORT"],
        values["RPACS_ORTHANC_USERNAME"],
        values["RPACS_ORTHANC_PASSWORD"],
        tls=bool(values["RPACS_ORTHANC_TLS_FOLDER"]),
    )
    stamp = Path(os.environ.get("RPACS_ORTHANC_READY_STAMP", "/tmp/orthanc-ready"))  # noqa: S108 - a tmpfs
    try:
        check(client, stores=values["RPACS_ORTHANC_ROLE"] == "research", stamp=stamp)
    except NotReadyError as exc:
        print(f"not ready: {exc}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
