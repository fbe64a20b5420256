"""Orthanc's REST API, as far as we use it (Orthanc Book, "REST API of Orthanc").

A client may be shared between threads; connections are kept alive. What fits into memory goes through libcurl, what is
passed on while it arrives through urllib3. Messages of errors name the method and the kind of resource, never an
identifier: Orthanc's identifiers of patients are plain SHA-1 of Patient IDs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import urllib3

from common.errors import NotFoundError, OrthancUnavailableError, RefusedError, RejectedError, StorageFullError
from common.http_client import Answer, HttpClient, HttpError, TooLargeError

__all__ = ["READINESS_INSTANCE", "Change", "ChangesPage", "Orthanc", "UploadAnswer"]

READINESS_INSTANCE = "2bb758e3-7a91bece-cc544c12-3d1f9cf9-d4e75109"
"""Stored, read back and deleted by the health check of the Orthanc image (``orthanc/ready.py``): nobody's data."""

_PREAMBLE, _MAGIC = 128, b"DICM"  # PS3.10, 7.1
_OF_THE_RESOURCE = (400, 404, 413)
_IDENTIFIER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


class Change(NamedTuple):
    """A row of the change feed; ``date`` is as Orthanc writes it, ``20261123T101112``."""

    seq: int
    type: str
    id: str
    date: str


@dataclass(frozen=True)
class ChangesPage:
    """Some changes in ascending order; on an empty page, ``last`` is the newest Seq that Orthanc ever gave."""

    changes: tuple[Change, ...]
    last: int
    done: bool


@dataclass(frozen=True)
class UploadAnswer:
    """Orthanc's identifiers of what was uploaded; ``status`` is ``Success`` or ``AlreadyStored``."""

    id: str
    patient: str
    study: str
    series: str
    status: str


class Orthanc:
    """A client of one Orthanc.

    Parameters
    ----------
    url
        Base URL, without a trailing slash.
    timeout
        Seconds to connect, and between two bytes of an answer.
    connections
        How many are kept alive; more may be open at a time.
    """

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        *,
        timeout: tuple[float, float] = (5, 60),
        connections: int = 16,
    ) -> None:
        # Whether to try again is decided in one place, by the queue: neither of them does.
        self._client = HttpClient(url, username, password, timeout=timeout, connections=connections)
        self._pool = urllib3.connection_from_url(
            url,
            maxsize=connections,
            timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
            retries=False,
            headers={
                **urllib3.make_headers(basic_auth=f"{username}:{password}"),
                # DICOM files gzipped and gunzipped again: 35 files/s instead of 624.
                "Accept-Encoding": "identity",
            },
        )

    # ------------------------------------------------------------------------------------------------ resources
    def system(self) -> dict[str, Any]:
        """Return ``/system``: version, AET, plugins."""
        return dict(self.get_json("/system"))

    def statistics(self) -> dict[str, Any]:
        """Return ``/statistics``: ``CountInstances`` and the like."""
        return dict(self.get_json("/statistics"))

    def count_instances(self) -> int:
        """Return how many instances are stored, the readiness instance not counted."""
        count = int(self.statistics()["CountInstances"])
        if count == 0:
            return 0
        try:
            self._request("GET", f"/instances/{READINESS_INSTANCE}")
        except NotFoundError:
            return count
        return count - 1

    def changes(self, since: int, limit: int) -> ChangesPage:
        """Return the changes whose Seq is above ``since``, at most ``limit``."""
        # Orthanc takes a malformed number for 0, so these are numbers for sure.
        answer = self.get_json(f"/changes?since={int(since)}&limit={int(limit)}")
        rows = tuple(Change(row["Seq"], row["ChangeType"], row["ID"], row["Date"]) for row in answer["Changes"])
        return ChangesPage(rows, int(answer["Last"]), bool(answer["Done"]))

    def instances(self, since: int, limit: int) -> list[str]:
        """Return a page of the identifiers of all instances."""
        return list(self.get_json(f"/instances?since={int(since)}&limit={int(limit)}"))

    def all_instances(self, page: int = 10_000) -> Iterator[str]:
        """Yield the identifiers of all instances but the readiness instance.

        Orthanc pages by offset: what is deleted meanwhile shifts the rest, so pages overlap by a tenth.
        """
        since = 0
        while found := self.instances(since, page):
            yield from (instance for instance in found if instance != READINESS_INSTANCE)
            if len(found) < page:
                return
            since += page - page // 10

    def instance_md5(self, instance_id: str) -> str:
        """Return the MD5 that Orthanc computed of the stored file."""
        return self._request("GET", f"/instances/{instance_id}/attachments/dicom/md5").data.decode().strip()

    def instance_size(self, instance_id: str) -> int:
        """Return the bytes of the DICOM file."""
        return int(self._request("GET", f"/instances/{instance_id}/attachments/dicom/size").data)

    def download(self, instance_id: str) -> bytes:
        """Return the DICOM file."""
        return self._download(instance_id, 0)

    def download_small(self, instance_id: str, largest: int) -> bytes | None:
        """Return the DICOM file; None where it has more than ``largest`` bytes and is better streamed."""
        try:
            return self._download(instance_id, largest)
        except TooLargeError:
            return None

    def _download(self, instance_id: str, largest: int) -> bytes:
        # The attachment as it is stored: Orthanc takes 0.17 ms for half a megabyte, and 0.28 ms for "/file".
        stored = self._request("GET", f"/instances/{instance_id}/attachments/dicom/compressed-data", largest=largest)
        if stored.data[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC:
            return stored.data
        # Stored while StorageCompression was on, or without a preamble.
        return self._request("GET", f"/instances/{instance_id}/file", largest=largest).data

    def upload(self, data: bytes | memoryview) -> UploadAnswer:
        """Store a DICOM file.

        Raises
        ------
        StorageFullError
            Orthanc answered ``StorageFull``.
        RejectedError
            Orthanc cannot read the instance, or filters it out.
        RefusedError
            Orthanc answered that it cannot store it.
        """
        body = data if isinstance(data, bytes) else bytes(data)
        try:
            stored = self._request("POST", "/instances", body=body, headers={"Content-Type": "application/dicom"})
        except NotFoundError:
            raise RejectedError("Orthanc did not store the instance: it lacks a UID") from None
        answer = self._json(stored)
        status = answer.get("Status", "") if isinstance(answer, dict) else "several instances"
        if status == "StorageFull":
            raise StorageFullError("Orthanc's storage is full")
        if status == "FilteredOut":
            raise RejectedError("Orthanc did not store the instance: it filters it out")
        if status not in {"Success", "AlreadyStored"}:
            raise RefusedError(f"Orthanc did not store the instance: {status}")
        return UploadAnswer(
            answer["ID"],
            answer.get("ParentPatient", ""),
            answer.get("ParentStudy", ""),
            answer.get("ParentSeries", ""),
            status,
        )

    def delete_instance(self, instance_id: str) -> None:
        """Delete an instance, and its parents with the last of them.

        Raises
        ------
        NotFoundError
            It is gone already.
        """
        self._request("DELETE", f"/instances/{instance_id}")

    # ---------------------------------------------------------------------------------------------------- plain
    def get_json(self, path: str) -> Any:
        """Return the JSON document at a path."""
        return self._json(self._request("GET", path))

    def post_json(self, path: str, body: Any) -> Any:
        """Post a JSON document; return the answer's."""
        return self._json(self._request("POST", path, body=json.dumps(body).encode()))

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer to a GET, its body not read yet: it is read by ``stream(size)`` inside the block."""
        response = self._open(path, headers or {})
        try:
            with _our_errors("GET", path):
                yield response
        finally:
            # A connection whose answer was not read to its end cannot be used again.
            response.close()

    def _open(self, path: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        with _our_errors("GET", path):
            response = self._pool.urlopen(
                "GET", path, headers={**self._pool.headers, **headers}, redirect=False, preload_content=False
            )
        if response.status >= 300:
            response.drain_conn()
            raise self._refusal(response.status, _describe("GET", path))
        return response

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        largest: int = 0,
    ) -> Answer:
        try:
            answer = self._client.request(method, path, body=body, headers=headers, largest=largest)
        except TooLargeError:
            raise
        except HttpError as exc:
            raise OrthancUnavailableError(f"{_describe(method, path)}: Orthanc does not answer ({exc})") from None
        if answer.status >= 300:
            raise self._refusal(answer.status, _describe(method, path))
        return answer

    def _refusal(self, status: int, request: str) -> Exception:
        """Return the error for a status; only an Orthanc can say that there is no such resource, or that it is bad."""
        if status in _OF_THE_RESOURCE and not self._is_orthanc():
            return OrthancUnavailableError(f"{request}: what answered {status} is no Orthanc")
        return _refusal(status, request)

    def _is_orthanc(self) -> bool:
        """Tell whether it is an Orthanc that answers, not a proxy that does not find one."""
        try:
            answer = self._client.request("GET", "/system")
            return answer.status == 200 and "ApiVersion" in json.loads(answer.data)
        except (HttpError, ValueError, TypeError):
            return False

    @staticmethod
    def _json(answer: Answer) -> Any:
        try:
            return json.loads(answer.data)
        except ValueError as exc:
            raise OrthancUnavailableError("Orthanc's answer is no JSON") from exc


def _describe(method: str, path: str) -> str:
    return f"{method} {_IDENTIFIER.sub('{id}', path.split('?')[0])}"


@contextmanager
def _our_errors(method: str, path: str) -> Iterator[None]:
    try:
        yield
    except urllib3.exceptions.HTTPError as exc:
        # "from None": the messages of urllib3 hold the path, and with it identifiers.
        name = type(exc).__name__
        raise OrthancUnavailableError(f"{_describe(method, path)}: Orthanc does not answer ({name})") from None


def _refusal(status: int, request: str) -> Exception:
    if status == 404:
        return NotFoundError(f"{request}: Orthanc has no such resource")
    if status == 507:
        return StorageFullError(f"{request}: Orthanc's storage is full")
    if status in _OF_THE_RESOURCE:
        return RejectedError(f"{request}: Orthanc answered {status}")
    if status >= 500 or status in {408, 429}:
        return OrthancUnavailableError(f"{request}: Orthanc answered {status}")
    return RefusedError(f"{request}: Orthanc answered {status}")
