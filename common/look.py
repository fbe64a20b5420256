"""The look that the portal and the console share: a style sheet, a script, an icon, how times are written."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint

look = Blueprint("look", __name__, static_folder="static", url_prefix="/look", static_url_path="/static")
"""Serves the files under ``/look/static/``; an application registers it."""


@look.app_template_filter()
def moment(value: datetime | None) -> str:
    """Show a time, in UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if value else ""


@look.app_template_filter()
def age(seconds: float | None) -> str:
    """Show a duration by its largest unit."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds is not None and seconds >= size:
            count = int(seconds // size)
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    return "" if seconds is None else "less than a minute"
