"""What stands at the end of an export: manifest.csv, failures.csv where there are some, and last export.json."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from common import __version__
from website.exports.bucket import Bucket, Sent
from website.exports.export import Export
from website.exports.items import Items

_PIECE = 1 << 18
MANIFEST, FAILURES, COMPLETE = "manifest.csv", "failures.csv", "export.json"
MANIFEST_COLUMNS = (
    "key", "size", "sha256", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality",
    "OrthancInstance",
)  # fmt: skip
FAILURE_COLUMNS = (
    "OrthancInstance", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality", "error",
    "reason",
)  # fmt: skip


def finish(export: Export, items: Items, bucket: Bucket, stopping: Callable[[], bool]) -> None:
    """Write the manifest, the failures and, when all else is there, export.json; raises as :meth:`Bucket.put`."""
    manifest = bucket.put_stream(MANIFEST, csv_chunks(MANIFEST_COLUMNS, items.manifest()), stopping)
    failures = None
    if export.failed:
        failures = bucket.put_stream(FAILURES, csv_chunks(FAILURE_COLUMNS, items.failures()), stopping)
    else:
        bucket.delete(FAILURES)  # of an earlier run
    document = describe(export, manifest, failures)
    bucket.put(COMPLETE, json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n")


def unfinish(bucket: Bucket) -> None:
    """Take the mark of completeness away before anything is written."""
    bucket.delete(COMPLETE)


def describe(export: Export, manifest: Sent, failures: Sent | None) -> dict[str, Any]:
    """Return export.json: who, when, what, why, and how to verify it."""
    return {
        "id": export.id,
        "user": export.user,
        "purpose": export.purpose,
        "created": _time(export.created_at),
        "started": _time(export.started_at),
        "finished": _time(datetime.now(UTC)),
        "query": export.query,
        "description": export.english,
        "filter": export.filter,
        **export.choices.as_dict(),
        "destination": export.destination.url,
        "instances": export.instances,
        "sent": export.sent,
        "failed": export.failed,
        "objects": export.objects,
        "bytes": export.bytes,
        "manifest": _file(manifest),
        "failures": _file(failures) if failures is not None else None,
        "software": software(),
    }


def software() -> str:
    """Name the program and its version."""
    return f"Research PACS {__version__}"


def csv_chunks(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Yield a table (RFC 4180, UTF-8) in pieces. Values are as they are: programs compare them, keys above all."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if value is None else value for value in row])
        if out.tell() > _PIECE:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def _file(sent: Sent) -> dict[str, Any]:
    return {"key": sent.key, "size": sent.size, "sha256": sent.sha256.hex()}


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None
