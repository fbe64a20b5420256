"""Writing objects to a bucket: at once or in parts, checked by the service, with errors that say what to do next.

A checksum goes with every object and every part, and the service refuses bytes that differ: SHA-256 at Amazon
(``x-amz-checksum-sha256``), MD5 (``Content-MD5``) elsewhere, which every S3 server knows.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.handlers import convert_body_to_file_like_object

from common import __version__
from common.errors import NotFoundError, RefusedError, ResearchPacsError, StorageUnavailableError
from common.storage_errors import typed_errors
from website.exports.destinations import Destination
from website.exports.endpoints import Guard, guard_client, refusal_of_guard

PART = 8 << 20
"""Bytes of the first parts of a large object; later ones grow, since S3 takes 10,000 at most."""
_GROW_EVERY = 1000
# The service received other bytes than we sent: worth another try.
_DAMAGED = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "IncompleteBody", "InvalidPart"})


class BucketRefusedError(RefusedError):
    """The bucket refuses us: credentials, rights, or no such bucket."""


class ChecksumError(StorageUnavailableError):
    """S3 received other bytes than were sent."""


@dataclass(frozen=True)
class Sent:
    """An object that the bucket has."""

    key: str
    size: int
    sha256: bytes


class Bucket:
    """The bucket and prefix of one export; safe to share between threads.

    Parameters
    ----------
    connections
        How many are kept alive.
    patient
        Wait a minute for an answer, not ten seconds: somebody looks at a page.
    """

    def __init__(
        self, destination: Destination, session: boto3.Session, *, connections: int = 8, patient: bool = True
    ) -> None:
        self._destination = destination
        self._amazon = not destination.endpoint
        self._client: Any = session.client(
            "s3",
            endpoint_url=destination.endpoint or None,
            region_name=destination.region or "us-east-1",
            config=Config(
                connect_timeout=5,
                read_timeout=60 if patient else 10,
                max_pool_connections=connections + 2,
                retries={"total_max_attempts": 1},  # decided in one place, where it can be interrupted
                signature_version="s3v4",
                s3={
                    "addressing_style": "auto" if self._amazon else "path",
                    "us_east_1_regional_endpoint": "regional",
                    # The checksum is signed, and the service verifies that: no second sum over plain HTTP.
                    "payload_signing_enabled": False,
                },
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                proxies={},
                # What boto3 would put together and look through anew for each object.
                user_agent=f"research-pacs/{__version__}",
                parameter_validation=False,
            ),
        )
        guard_client(self._client, Guard(destination.endpoint))
        # As a file, bytes are sent in blocks of 16 KB after a wait for "100 Continue"; as bytes at once.
        self._client.meta.events.unregister("before-parameter-build.s3.PutObject", convert_body_to_file_like_object)
        self._options = _options(destination)

    @property
    def verifies_md5(self) -> bool:
        """Tell whether the service holds objects to their MD5."""
        return not self._amazon

    def put(self, key: str, data: bytes, md5: str = "") -> Sent:
        """Write an object at once.

        Parameters
        ----------
        md5
            What its MD5 has to be, hexadecimal, where somebody knows it.

        Raises
        ------
        BucketRefusedError, StorageUnavailableError
            See :func:`common.storage_errors.typed_errors`.
        ChecksumError
            What arrived is not what was sent.
        """
        digest = hashlib.sha256(data).digest()
        with _errors():
            self._client.put_object(**self._place(key), Body=data, **self._options, **self._checksum(data, digest, md5))
        return Sent(key, len(data), digest)

    def put_stream(self, key: str, chunks: Iterator[bytes], stopping: Callable[[], bool]) -> Sent:
        """Write a large object in parts while it is read; nothing of it stays where it fails. Raises as :meth:`put`."""
        parts = _parts(chunks)
        first = next(parts)
        if len(first) < PART:
            return self.put(key, first)
        with _errors():
            algorithm = {"ChecksumAlgorithm": "SHA256"} if self._amazon else {}
            upload = self._client.create_multipart_upload(**self._place(key), **self._options, **algorithm)["UploadId"]
        try:
            return self._send_parts(key, upload, itertools.chain([first], parts), stopping)
        except BaseException:
            # What cannot be tidied up now is by the bucket's rule for incomplete uploads.
            with suppress(ResearchPacsError), _errors():
                self._client.abort_multipart_upload(**self._place(key), UploadId=upload)
            raise

    def _send_parts(self, key: str, upload: str, given: Iterator[bytes], stopping: Callable[[], bool]) -> Sent:
        whole, size, parts = hashlib.sha256(), 0, []
        for number, data in enumerate(given, 1):
            if stopping():
                raise StorageUnavailableError("the export is being stopped")
            whole.update(data)
            size += len(data)
            digest = hashlib.sha256(data).digest() if self._amazon else b""
            with _errors():
                answer = self._client.upload_part(
                    **self._place(key),
                    UploadId=upload,
                    PartNumber=number,
                    Body=data,
                    **self._checksum(data, digest),
                )
            checksum = {"ChecksumSHA256": answer["ChecksumSHA256"]} if "ChecksumSHA256" in answer else {}
            parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksum})
        with _errors():
            self._client.complete_multipart_upload(
                **self._place(key), UploadId=upload, MultipartUpload={"Parts": parts}
            )
        return Sent(key, size, whole.digest())

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is no error."""
        with _errors():
            self._client.delete_object(**self._place(key))

    def probe(self) -> None:
        """Write a tiny object and delete it; raises as :meth:`put` where that is not allowed."""
        key = f".research-pacs-access-test-{uuid.uuid4().hex[:12]}"
        self.put(key, b"This object was written to test access, and should be gone.\n")
        self.delete(key)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._destination.bucket, "Key": self._destination.prefix + key}

    def _checksum(self, data: bytes, digest: bytes, md5: str = "") -> dict[str, str]:
        if self._amazon:
            return {"ChecksumSHA256": base64.b64encode(digest).decode()}
        known = bytes.fromhex(md5) or hashlib.md5(data, usedforsecurity=False).digest()
        return {"ContentMD5": base64.b64encode(known).decode()}


def _options(destination: Destination) -> dict[str, str]:
    given: dict[str, str] = {}
    if destination.kms_key:
        given |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": destination.kms_key}
    if destination.storage_class:
        given["StorageClass"] = destination.storage_class
    if destination.owner_full_control:
        given["ACL"] = "bucket-owner-full-control"
    return given


def _parts(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Join chunks to parts: 8 MB, and more after each thousand, so that 10,000 parts are 350 GB."""
    waiting, number = bytearray(), 0
    for chunk in chunks:
        waiting += chunk
        wanted = PART * (1 + number // _GROW_EVERY)
        if len(waiting) >= wanted:
            yield bytes(waiting)
            waiting, number = bytearray(), number + 1
    if waiting or not number:
        yield bytes(waiting)


@contextmanager
def _errors() -> Iterator[None]:
    """Translate as :func:`typed_errors`, and tell apart what an export answers differently."""
    try:
        with typed_errors():
            yield
    except RefusedError as exc:
        cause = exc.__cause__
        code = cause.response.get("Error", {}).get("Code", "") if isinstance(cause, ClientError) else ""
        if code in _DAMAGED:
            raise ChecksumError(f"S3 received other bytes than were sent ({code})") from exc
        raise BucketRefusedError(str(exc)) from exc
    except NotFoundError as exc:
        raise BucketRefusedError("there is no such bucket") from exc
    except StorageUnavailableError as exc:
        if (refused := refusal_of_guard(exc)) is not None:
            raise BucketRefusedError(str(refused)) from exc
        raise
