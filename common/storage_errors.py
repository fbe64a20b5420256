"""What S3 and file systems raise, translated once into errors of ours: without names, keys or endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3.exceptions
import botocore.exceptions

from common.errors import NotFoundError, RefusedError, ResearchPacsError, StorageUnavailableError
from common.file_errors import file_errors

# Codes that S3 and servers like it answer (Amazon S3 API reference, "Error responses"); HEAD has only the status.
_NOT_FOUND = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
_REFUSED = {
    "401": "",
    "403": "the credentials lack a permission, or the bucket is somebody else's",
    "AccessDenied": "the credentials lack a permission",
    "InvalidAccessKeyId": "the access key ID is not known there",
    "SignatureDoesNotMatch": "the secret access key is not that of the access key ID",
    "ExpiredToken": "the temporary keys have expired",
    "InvalidToken": "the session token is not valid",
}
"""Codes of refusals, and what is to be mended."""


@contextmanager
def typed_errors() -> Iterator[None]:
    """Raise NotFoundError, RefusedError, StorageFullError or StorageUnavailableError for what is raised inside."""
    # Some of botocore's errors are OSErrors as well: they are looked at first.
    with file_errors():
        try:
            yield
        except botocore.exceptions.ClientError as exc:
            raise _client_error(exc) from exc
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as exc:
            raise RefusedError("there are no credentials for S3") from exc
        except botocore.exceptions.ParamValidationError as exc:
            raise RefusedError("the name of the bucket or the key is not legal") from exc
        except (botocore.exceptions.BotoCoreError, boto3.exceptions.Boto3Error) as exc:
            raise StorageUnavailableError("S3 does not answer") from exc


def _client_error(exc: botocore.exceptions.ClientError) -> ResearchPacsError:
    code = str(exc.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket":
        return NotFoundError("S3 has no such bucket")
    if code in _NOT_FOUND:
        return NotFoundError("S3 has no such object")
    if code in _REFUSED:
        return RefusedError(f"S3 refuses the request ({code}){_REFUSED[code] and ': '}{_REFUSED[code]}")
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if status >= 500 or status == 429 or code in {"SlowDown", "RequestTimeout"}:
        return StorageUnavailableError(f"S3 cannot serve this now ({code})")
    return RefusedError(f"S3 refuses the request ({code})")
