"""A job as its user sees it: as JSON, and the commands that fetch what it sent."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any

from website.exports.export import Export


def as_json(export: Export) -> dict[str, Any]:
    """Return a job as JSON: no secret is in a job."""
    destination = {name: value for name, value in export.destination.as_dict().items() if value}
    return {
        "id": export.id,
        "user": export.user,
        "state": export.state,
        "asked": export.wish,
        "reason": export.reason,
        "query": export.query,
        "description": export.english,
        "filter": export.filter,
        "purpose": export.purpose,
        **export.choices.as_dict(),
        "destination": {**destination, "url": export.destination.url},
        "instances": export.instances,
        "sent": export.sent,
        "failed": export.failed,
        "objects": export.objects,
        "bytes": export.bytes,
        "share": round(export.share, 4),
        "instances_per_second": round(export.rate, 2),
        "seconds_left": None if export.seconds_left is None else round(export.seconds_left),
        "created": _time(export.created_at),
        "started": _time(export.started_at),
        "finished": _time(export.finished_at),
    }


def fetch_commands(export: Export) -> dict[str, str]:
    """Return shell commands that fetch an export, by the name of the tool."""
    place, folder = export.destination.url, f"export-{export.id[:8]}"
    endpoint = shlex.quote(export.destination.endpoint)
    aws = f" --endpoint-url {endpoint}" if export.destination.endpoint else ""
    region = f" --region {export.destination.region}" if export.destination.region else ""
    s5cmd = f"s5cmd --endpoint-url {endpoint}" if export.destination.endpoint else "s5cmd"
    sums = "tail -n +2 manifest.csv | tr -d '\\r' | awk -F, '{print $3\"  \"$1}' | sha256sum --check --quiet"
    return {
        "aws": f"aws s3 sync{aws}{region} {shlex.quote(place)} {folder}",
        "s5cmd": f"{s5cmd} cp {shlex.quote(place + '*')} {folder}/",
        "verify": f"cd {folder} && {sums}",
    }


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None
