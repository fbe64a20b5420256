"""Objects in S3: what :class:`common.storage.Storage` does with locations that begin with ``s3://``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import boto3
from botocore.config import Config

from common.errors import NotFoundError
from common.storage import Entry, split_s3
from common.storage_errors import typed_errors


class S3:
    """Reads, writes and lists objects; safe to share between threads. Raises as :class:`~common.storage.Storage`."""

    def __init__(self, *, endpoint: str, region: str) -> None:
        # A session of our own: boto3's default one keeps the credentials that it saw first.
        with typed_errors():
            self._client = boto3.Session().client(
                "s3",
                endpoint_url=endpoint or None,
                region_name=region or None,
                config=Config(
                    connect_timeout=5,
                    read_timeout=60,
                    retries={"mode": "standard", "max_attempts": 3},
                    signature_version="s3v4",
                    s3={"addressing_style": "path"} if endpoint else {},
                    # Servers other than Amazon's refuse the trailing checksums that boto3 adds by default.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )

    def read_version(self, location: str) -> tuple[bytes, str]:
        """Return the bytes of an object and their ETag."""
        with typed_errors():
            bucket, key = split_s3(location)
            answer = self._client.get_object(Bucket=bucket, Key=key)
            return answer["Body"].read(), answer["ETag"]

    def version(self, location: str) -> str:
        """Return the ETag."""
        with typed_errors():
            bucket, key = split_s3(location)
            return str(self._client.head_object(Bucket=bucket, Key=key)["ETag"])

    def write(self, location: str, data: bytes) -> None:
        """Write an object whole."""
        with typed_errors():
            bucket, key = split_s3(location)
            self._client.put_object(Bucket=bucket, Key=key, Body=data)

    @contextmanager
    def open(self, location: str) -> Iterator[BinaryIO]:
        """Bring an object into a temporary file, open for reading at any position."""
        with tempfile.TemporaryFile() as spool:
            with typed_errors():
                bucket, key = split_s3(location)
                self._client.download_fileobj(bucket, key, cast(Any, spool))
            spool.seek(0)
            yield cast(BinaryIO, spool)

    def list(self, location: str) -> Iterator[Entry]:
        """List an object, or all objects under a prefix; raises ``NotFoundError`` where there is none."""
        entry = None
        with typed_errors():
            for entry in self._list(location):
                yield entry
        if entry is None:
            raise NotFoundError("there is nothing at this location")

    def _list(self, location: str) -> Iterator[Entry]:
        bucket, prefix = split_s3(location, key_required=False)
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                key = item["Key"]
                if key.endswith("/") or not _under(key, prefix):
                    continue
                relative = key[len(prefix) :].lstrip("/") or key.rsplit("/", 1)[-1]
                yield Entry(f"s3://{bucket}/{key}", item["Size"], relative)


def _under(key: str, prefix: str) -> bool:
    """Tell whether a key is the prefix or below it as a folder: ``a/b`` does not hold ``a/bc``."""
    return not prefix or prefix.endswith("/") or key == prefix or key.startswith(prefix + "/")
