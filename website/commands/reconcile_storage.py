"""Find objects in the research Orthanc's bucket that nothing refers to; with --delete, delete them.

They stay behind when an instance is deleted while S3 is away. Objects younger than a day and keys that Orthanc does
not make are left alone. The credentials are those of RPACS_S3_DICOM_ACCESS_KEY, else the role of the machine: they
need s3:ListBucket, and s3:DeleteObject for --delete.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from common.command_line import DONE, FAILED
from common.errors import ConfigurationError
from common.orthanc import Orthanc
from common.settings import base_url, load, option, settings
from website.settings import OrthancSettings
from website.storage_reconciliation import compare, delete

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


@settings
class StorageReconciliationSettings(OrthancSettings):
    """Where the research Orthanc keeps its files, for the command that looks for left-over objects."""

    bucket: str = option("RPACS_S3_DICOM_BUCKET_NAME", "Bucket of the research Orthanc's files.")
    region: str = option("RPACS_S3_DICOM_AWS_REGION", "Region of that bucket.")
    prefix: str = option("RPACS_S3_DICOM_KEY_PREFIX", "Prefix of the keys in that bucket.", default="")
    endpoint: str = option(
        "RPACS_S3_DICOM_ENDPOINT", "Endpoint of another S3 server than Amazon's.", parse=base_url, default=""
    )
    access_key: str = option(
        "RPACS_S3_DICOM_ACCESS_KEY",
        "Access key of the command's own; without it the role of the machine.",
        default="",
        secret=True,
    )
    secret_key: str = option("RPACS_S3_DICOM_SECRET_KEY", "Its secret key.", default="", secret=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--delete", action="store_true", help="delete what was found (without it: only count)")
    parser.add_argument(
        "--most", action="store_true", help="delete even where more than half of all objects are left over"
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare; print what was found and what was deleted."""
    settings = load(StorageReconciliationSettings)
    orthanc = Orthanc(settings.orthanc_url, settings.orthanc_username, settings.orthanc_password)
    client = _client(settings)
    found = compare(client, settings.bucket, settings.prefix, orthanc, now=datetime.now(UTC))
    size = sum(stored.size for stored in found.orphans)
    print(f"{found.objects} objects older than a day, {len(found.orphans)} of them left over ({size >> 20} MB)")
    if found.foreign:
        print(f"{found.foreign} keys are not Orthanc's and were left alone")
    if not arguments.delete or not found.orphans:
        return DONE
    if found.suspicious and not arguments.most:
        raise ConfigurationError(
            "more than half of the objects seem left over: is this the bucket, prefix and Orthanc that belong together?"
            " If so, say --most"
        )
    deleted = delete(client, settings.bucket, found.orphans)
    print(f"{deleted} deleted")
    if deleted < len(found.orphans):
        print(f"{len(found.orphans) - deleted} were not deleted: s3:DeleteObject is missing?", file=sys.stderr)
        return FAILED
    return DONE


def _client(settings: StorageReconciliationSettings) -> S3Client:
    style = {"addressing_style": "path"} if settings.endpoint else {}
    return boto3.client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint or None,
        aws_access_key_id=settings.access_key or None,
        aws_secret_access_key=settings.secret_key or None,
        config=Config(s3=style, connect_timeout=10, read_timeout=60),  # type: ignore[arg-type]
    )
