"""What lies in the bucket of the research Orthanc and belongs to nothing: found, and deleted on request.

While S3 is away Orthanc still deletes an instance from its index and answers 200; the object stays, and nothing of
Orthanc's knows of it any more. The bucket is listed first and Orthanc is asked afterwards, so that what arrives
meanwhile is never taken for left over; an object younger than a day is left alone besides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from common.errors import NotFoundError
from common.orthanc import Orthanc
from common.storage_errors import typed_errors

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

MINIMUM_AGE = timedelta(days=1)
LEVELS = ("patients", "studies", "series", "instances")
_BATCH, _ASKED = 1000, 5000
# <uuid>.dcm, .json, .unk …, with .enc where files are encrypted (S3 plugin, StorageStructure flat).
_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\.[a-z]+)*")


@dataclass(frozen=True)
class StoredObject:
    """An object that Orthanc wrote: its key, the UUID of the attachment, bytes, and when it was written."""

    key: str
    uuid: str
    size: int
    written: datetime


@dataclass(frozen=True)
class Findings:
    """What was compared: objects of Orthanc's, keys that Orthanc does not make, and what belongs to nothing."""

    objects: int
    foreign: int
    orphans: tuple[StoredObject, ...]

    @property
    def suspicious(self) -> bool:
        """Whether most objects seem left over: then more likely the wrong Orthanc or prefix was named."""
        return len(self.orphans) * 2 > self.objects


def compare(
    client: S3Client, bucket: str, prefix: str, orthanc: Orthanc, *, now: datetime, threads: int = 8
) -> Findings:
    """Compare a bucket with what Orthanc knows.

    Parameters
    ----------
    prefix
        ``RPACS_S3_DICOM_KEY_PREFIX``; slashes at its ends do not matter.
    now
        With a time zone; an object must be older than :data:`MINIMUM_AGE` then.

    Raises
    ------
    ResearchPacsError
        S3 or Orthanc is away, or refuses; nothing is concluded from half an answer.
    """
    objects, foreign = [], 0
    for stored in list_objects(client, bucket, prefix):
        if stored is None:
            foreign += 1
        elif now - stored.written > MINIMUM_AGE:
            objects.append(stored)
    known = set(known_uuids(orthanc, threads)) if objects else set()
    orphans = tuple(stored for stored in objects if stored.uuid not in known)
    return Findings(len(objects), foreign, orphans)


def list_objects(client: S3Client, bucket: str, prefix: str) -> Iterator[StoredObject | None]:
    """Yield the objects below the prefix; None for a key that is not one of Orthanc's."""
    base = f"{prefix.strip('/')}/".lstrip("/")
    with typed_errors():
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=base):
            for entry in page.get("Contents", []):
                match = _NAME.fullmatch(entry["Key"].removeprefix(base))
                if match is None:
                    yield None
                else:
                    uuid = str(UUID(match[1]))
                    yield StoredObject(entry["Key"], uuid, entry["Size"], entry["LastModified"])


def known_uuids(orthanc: Orthanc, threads: int = 8) -> Iterator[str]:
    """Yield the UUIDs of all attachments of all resources that Orthanc has now."""
    with ThreadPoolExecutor(threads) as pool:
        for level in LEVELS:
            identifiers = orthanc.all_instances() if level == "instances" else iter(orthanc.get_json(f"/{level}"))
            while some := list(islice(identifiers, _ASKED)):
                for found in pool.map(partial(_uuids, orthanc, level), some):
                    yield from found


def _uuids(orthanc: Orthanc, level: str, identifier: str) -> list[str]:
    try:
        names = orthanc.get_json(f"/{level}/{identifier}/attachments")
        return [orthanc.get_json(f"/{level}/{identifier}/attachments/{name}/info")["Uuid"] for name in names]
    except NotFoundError:
        return []  # deleted since it was listed


def delete(client: S3Client, bucket: str, orphans: tuple[StoredObject, ...]) -> int:
    """Delete objects; return how many the server confirmed."""
    deleted = 0
    with typed_errors():
        for start in range(0, len(orphans), _BATCH):
            batch = [{"Key": stored.key} for stored in orphans[start : start + _BATCH]]
            answer = client.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": False})  # type: ignore[typeddict-item]
            deleted += len(answer.get("Deleted", []))
    return deleted
