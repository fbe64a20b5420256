"""Moving dates and times in the formats of DICOM (PS3.5 6.2), keeping format, precision, fractions and zones.

Every function returns None for a value that is not legal, or would leave the calendar.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

_DATE = re.compile(r"(\d{4})(\.?)(\d{2})\2(\d{2})", re.ASCII)
_TIME = re.compile(r"(\d{2})(?:(:?)(\d{2})(?:\2(\d{2})(\.\d{1,6})?)?)?", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_SECONDS_PER_DAY = 86_400


def shift_da(value: str, days: int) -> str | None:
    """Move a date (``20240131``, the older ``2024.01.31``), or both ends of a range (``20240101-20240131``)."""
    if len(value) == 8:
        return _shift_date(value, days)
    first, dash, last = value.partition("-")
    if not dash:
        return _shift_date(value, days)
    if not (first or last):
        return None
    ends = [_shift_date(end, days) if end else "" for end in (first, last)]
    return None if None in ends else "-".join(end or "" for end in ends)


def _shift_date(value: str, days: int) -> str | None:
    found = _DATE.fullmatch(value)
    if not found:
        return None
    try:
        moved = date(int(found[1]), int(found[3]), int(found[4])) + timedelta(days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04}{found[2]}{moved.month:02}{found[2]}{moved.day:02}"


def shift_tm(value: str, seconds: int) -> str | None:
    """Move a time within the day (``1430``, ``143000.25``, the older ``14:30:00``); it wraps at midnight."""
    first, dash, last = value.partition("-")
    if dash:
        ends = [_shift_time(end, seconds) if end else "" for end in (first, last)]
        return None if None in ends or not (first or last) else "-".join(end or "" for end in ends)
    return _shift_time(value, seconds)


def _shift_time(value: str, seconds: int) -> str | None:
    found = _TIME.fullmatch(value)
    if not found:
        return None
    hour, colon, minute, second, fraction = found.groups()
    clock = (int(hour), int(minute or 0), int(second or 0))
    if not _is_clock(*clock):
        return None
    total = (clock[0] * 3600 + clock[1] * 60 + clock[2] + seconds) % _SECONDS_PER_DAY
    parts = [f"{total // 3600:02}", f"{total // 60 % 60:02}", f"{total % 60:02}"]
    precision = 1 + (minute is not None) + (second is not None)
    return (colon or "").join(parts[:precision]) + (fraction or "")


def _is_clock(hour: int, minute: int, second: int) -> bool:
    """Tell whether this is a time of day; 60 is a leap second."""
    return hour < 24 and minute < 60 and second <= 60


def shift_dt(value: str, seconds: int) -> str | None:
    """Move a date and time by seconds; what stops at the year, the month, … the second still stops there."""
    found = _DATE_TIME.fullmatch(value)
    if not found:
        return None
    fields, fraction, zone = found.groups()[:6], found[7] or "", found[8] or ""
    if not _is_zone(zone):
        return None
    numbers = [int(field) if field else default for field, default in zip(fields, (0, 1, 1, 0, 0, 0), strict=True)]
    if not _is_clock(*numbers[3:]):
        return None
    try:
        moved = datetime(*numbers[:5]) + timedelta(seconds=numbers[5] + seconds)  # type: ignore[arg-type]  # five numbers
    except (ValueError, OverflowError):
        return None
    # A month in the year 900 has four digits of year all the same.
    text = f"{moved.year:04}" + moved.strftime("%m%d%H%M%S")
    return text[: sum(len(field) for field in fields if field)] + fraction + zone


def shift_dt_days(value: str, days: int) -> str | None:
    """Move the date of a date and time by whole days; the time of day stays as it is written."""
    if shift_dt(value, 0) is None:
        return None
    moved = shift_dt(value[:8] if value[4:8].isdigit() and len(value) >= 8 else value, days * _SECONDS_PER_DAY)
    return moved + value[8:] if moved and value[4:8].isdigit() and len(value) >= 8 else moved


def _is_zone(zone: str) -> bool:
    """Tell whether a suffix is an offset from UTC between -1200 and +1400, or absent."""
    if not zone:
        return True
    minutes = int(zone[1:3]) * 60 + int(zone[3:])
    return int(zone[3:]) < 60 and (minutes <= 840 if zone[0] == "+" else 0 < minutes <= 720)
