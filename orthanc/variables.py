"""The environment variables of the Orthanc image: read all at once, refused by name.

This program is alone in its image, so it imports the standard library only. Values of secrets are never shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_AE_TITLE = re.compile(r"[A-Za-z0-9_.\- ]{1,16}")


class VariablesError(Exception):
    """Environment variables are missing or malformed; the message has a line for each."""


@dataclass(frozen=True)
class Modality:
    """A DICOM peer: Orthanc's symbolic name, AE title, host, port."""

    name: str
    aet: str
    host: str
    port: int


def text(value: str) -> str:
    """Accept any text."""
    return value


def password(value: str) -> str:
    """Accept a password that survives every way of configuring Orthanc: no leading digit, 12 characters or more."""
    if len(value) < 12 or value[0].isdigit():
        raise ValueError("must have 12 characters or more and not begin with a digit")
    return value


def switch(value: str) -> bool:
    """Accept yes or no, any case."""
    if value.lower() not in {"yes", "no"}:
        raise ValueError("must be yes or no")
    return value.lower() == "yes"


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """Accept a whole number in a range, both ends included."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"\d+", value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(value)

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """Accept one of some words."""

    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return parse


def ae_title(value: str) -> str:
    """Accept an AE title (PS3.5 6.2: at most 16 characters)."""
    if not _AE_TITLE.fullmatch(value) or not value.strip():
        raise ValueError("must be 1 to 16 letters, digits, spaces, dots, hyphens or underscores")
    return value


def modalities(value: str) -> tuple[Modality, ...]:
    """Accept ``NAME=AET@host:port, …``: whom Orthanc takes images from."""
    found = []
    for item in filter(None, (part.strip() for part in value.split(","))):
        match = re.fullmatch(r"([A-Za-z0-9_-]+)=([^@]{1,16})@([^:@\s]+):(\d{1,5})", item)
        if not match or not _AE_TITLE.fullmatch(match[2]) or not 0 < int(match[4]) < 65536:
            raise ValueError("must be a list like CT1=CT_SCANNER@10.1.2.3:104, PACS=CLINICAL_PACS@pacs:11112")
        found.append(Modality(match[1], match[2], match[3], int(match[4])))
    if len({modality.name for modality in found}) < len(found):
        raise ValueError("names a modality twice")
    return tuple(found)


def bucket(value: str) -> str:
    """Accept the name of an S3 bucket."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
        raise ValueError("must be the name of a bucket: 3 to 63 lower-case letters, digits, dots, hyphens")
    return value


def prefix(value: str) -> str:
    """Accept a key prefix; a leading slash would stop Orthanc, so slashes at the ends are dropped."""
    return value.strip("/")


def url(value: str) -> str:
    """Accept an endpoint with its scheme (without one the S3 plugin assumes HTTPS)."""
    if not re.fullmatch(r"https?://[^/\s]+", value):
        raise ValueError("must be http(s)://host[:port] without a path")
    return value


def path(value: str) -> str:
    """Accept an absolute path."""
    if not value.startswith("/"):
        raise ValueError("must be an absolute path")
    return value


@dataclass(frozen=True)
class Variable:
    """One variable: how it is read and a sentence about it."""

    name: str
    parse: Callable[[str], Any]
    help: str
    default: Any = None
    mandatory: bool = False


VARIABLES = (
    Variable("RPACS_ORTHANC_ROLE", choice("source", "research"), "source or research.", mandatory=True),
    Variable("RPACS_ORTHANC_USERNAME", text, "Account of the process of ours that uses this Orthanc.", mandatory=True),
    Variable("RPACS_ORTHANC_PASSWORD", password, "Its password.", mandatory=True),
    Variable(
        "RPACS_ORTHANC_SENDER_USERNAME",
        text,
        "Account that may only store (REST, STOW-RS): for senders, or for a de-identifier at another site.",
    ),
    Variable("RPACS_ORTHANC_SENDER_PASSWORD", password, "Its password."),
    Variable("RPACS_ORTHANC_AET", ae_title, "AE title of this Orthanc (RPACS_SOURCE or RPACS_RESEARCH)."),
    Variable("RPACS_ORTHANC_HTTP_PORT", integer(1, 65535), "Port of HTTP.", 8042),
    Variable("RPACS_ORTHANC_DICOM_PORT", integer(1, 65535), "Port of DICOM.", 4242),
    Variable("RPACS_ORTHANC_MODALITIES", modalities, "Whom images are taken from: NAME=AET@host:port, …", ()),
    Variable(
        "RPACS_ORTHANC_ACCEPT_UNKNOWN_MODALITIES",
        switch,
        "Take images from AE titles that are not listed: only where the network lets known senders alone through.",
        False,
    ),
    Variable("RPACS_ORTHANC_CHECK_MODALITY_HOST", switch, "Check a sender's address against the list too.", False),
    Variable("RPACS_ORTHANC_TLS_FOLDER", path, "Folder with server.pem (certificate and key): HTTPS, not HTTP."),
    Variable(
        "RPACS_ORTHANC_DICOM_TLS_FOLDER",
        path,
        "Folder with certificate.pem, key.pem and trusted.pem: DICOM over TLS, not plain DICOM.",
    ),
    Variable(
        "RPACS_ORTHANC_DICOM_TLS_CLIENT_CERTIFICATES",
        switch,
        "Senders must show a certificate that trusted.pem vouches for.",
        True,
    ),
    Variable(
        "RPACS_ORTHANC_STORAGE_FOLDER",
        path,
        "Folder of the files, and of the index without PostgreSQL.",
        "/var/lib/orthanc/db",
    ),
    Variable("RPACS_ORTHANC_PLUGINS_FOLDER", path, "Folder of Orthanc's plugins, where it is not one of the usual."),
    Variable("RPACS_ORTHANC_POSTGRESQL_HOSTNAME", text, "PostgreSQL of the index; without it the index is a file."),
    Variable("RPACS_ORTHANC_POSTGRESQL_PORT", integer(1, 65535), "Its port.", 5432),
    Variable("RPACS_ORTHANC_POSTGRESQL_DB_NAME", text, "Database of this Orthanc's index alone.", "orthanc"),
    Variable("RPACS_ORTHANC_POSTGRESQL_USERNAME", text, "Role that owns that database.", "orthanc"),
    Variable("RPACS_ORTHANC_POSTGRESQL_PASSWORD", text, "Its password."),
    Variable("RPACS_ORTHANC_POSTGRESQL_TLS", switch, "Refuse PostgreSQL without TLS.", False),
    Variable("RPACS_S3_DICOM_BUCKET_NAME", bucket, "Bucket of the DICOM files; without it they are on disk."),
    Variable("RPACS_S3_DICOM_AWS_REGION", text, "Region of that bucket."),
    Variable("RPACS_S3_DICOM_KEY_PREFIX", prefix, "Prefix of the keys in that bucket.", ""),
    Variable("RPACS_S3_DICOM_ENDPOINT", url, "Endpoint of another S3 server than Amazon's."),
    Variable("RPACS_S3_DICOM_ACCESS_KEY", text, "Access key there; without it the role of the task or machine."),
    Variable("RPACS_S3_DICOM_SECRET_KEY", text, "Secret key there."),
    Variable(
        "RPACS_S3_DICOM_ENCRYPTION_KEY_PATH",
        path,
        "File with a 32-byte key in base64: files are encrypted before they leave Orthanc.",
    ),
    Variable("RPACS_S3_CONFIG_BUCKET_NAME", bucket, "Bucket whose files are copied to /s3-files before start."),
    Variable("RPACS_S3_CONFIG_AWS_REGION", text, "Region of that bucket."),
    Variable("RPACS_S3_CONFIG_KEY_PREFIX", prefix, "Prefix of the files to copy.", ""),
    Variable("RPACS_ORTHANC_EXTRA_JSON", text, "JSON object merged over the configuration, last."),
)

# What a variable needs beside it.
_NEEDS = (
    ("RPACS_ORTHANC_SENDER_USERNAME", "RPACS_ORTHANC_SENDER_PASSWORD"),
    ("RPACS_ORTHANC_SENDER_PASSWORD", "RPACS_ORTHANC_SENDER_USERNAME"),
    ("RPACS_S3_DICOM_ACCESS_KEY", "RPACS_S3_DICOM_SECRET_KEY"),
    ("RPACS_S3_DICOM_SECRET_KEY", "RPACS_S3_DICOM_ACCESS_KEY"),
    ("RPACS_S3_DICOM_ENDPOINT", "RPACS_S3_DICOM_ACCESS_KEY"),
    ("RPACS_S3_DICOM_BUCKET_NAME", "RPACS_S3_DICOM_AWS_REGION"),
    ("RPACS_S3_CONFIG_BUCKET_NAME", "RPACS_S3_CONFIG_AWS_REGION"),
    ("RPACS_ORTHANC_POSTGRESQL_HOSTNAME", "RPACS_ORTHANC_POSTGRESQL_PASSWORD"),
)


def read(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read all variables; ``NAME_FILE`` stands for ``NAME``.

    Raises
    ------
    VariablesError
        Names everything that is missing or malformed.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for variable in VARIABLES:
        values[variable.name] = variable.default
        try:
            if given := _read_one(variable.name, environ):
                values[variable.name] = variable.parse(given)
            elif variable.mandatory:
                problems[variable.name] = f"is missing: {variable.help}"
        except ValueError as exc:
            problems[variable.name] = str(exc)
        except OSError as exc:
            problems[variable.name + "_FILE"] = f"cannot be read: {exc.strerror}"
    for one, other in _NEEDS:
        if values[one] and not values[other]:
            problems.setdefault(other, f"is missing: {one} needs it")
    if problems:
        raise VariablesError("\n".join(f"{name} {problem}" for name, problem in problems.items()))
    return values


def _read_one(name: str, environ: Mapping[str, str]) -> str:
    file = environ.get(f"{name}_FILE")
    if file and not environ.get(name):
        return Path(file).read_text().rstrip("\r\n")
    return environ.get(name, "")
