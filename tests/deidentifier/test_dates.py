"""Dates and times move in every legal format, and only those."""

from __future__ import annotations

import pytest

from deidentifier.dates import shift_da, shift_dt, shift_dt_days, shift_tm


@pytest.mark.parametrize(
    ("value", "days", "moved"),
    [
        ("20240131", 1, "20240201"),
        ("20240301", -1, "20240229"),
        ("2024.01.31", 1, "2024.02.01"),
        ("20240131-20240229", 1, "20240201-20240301"),
        ("20240131-", 1, "20240201-"),
        ("-20240131", 1, "-20240201"),
        ("2024.0131", 1, None),
        ("20240230", 1, None),
        ("2024013", 1, None),
        ("-", 1, None),
        ("99991231", 1, None),
        ("00010101", -1, None),
        ("٢٠٢٤٠١٣١", 1, None),
        ("Doe^John", 1, None),
    ],
)
def test_dates(value, days, moved):
    assert shift_da(value, days) == moved


@pytest.mark.parametrize(
    ("value", "seconds", "moved"),
    [
        ("235959", 1, "000000"),
        ("000000", -1, "235959"),
        ("14", 3600, "15"),
        ("1430", 60, "1431"),
        ("1430", 59, "1430"),
        ("143000.25", 1, "143001.25"),
        ("14:30:00", 1, "14:30:01"),
        ("14:30", 60, "14:31"),
        ("143060", 0, "143100"),
        ("24", 0, None),
        ("1460", 0, None),
        ("14:3000", 0, None),
        ("143000.1234567", 0, None),
    ],
)
def test_times(value, seconds, moved):
    assert shift_tm(value, seconds) == moved


@pytest.mark.parametrize(
    ("value", "seconds", "moved"),
    [
        ("2024", 86400 * 400, "2025"),
        ("202401", 86400 * 31, "202402"),
        ("20240131", 86400, "20240201"),
        ("2024013123", 3600, "2024020100"),
        ("202401312359", 60, "202402010000"),
        ("20240131235959", 1, "20240201000000"),
        ("20240131235959.123456", 1, "20240201000000.123456"),
        ("20240131235959.1+0130", 1, "20240201000000.1+0130"),
        ("2024-0500", 0, "2024-0500"),
        ("20240131+1401", 0, None),
        ("20240131-0000", 0, None),
        ("20241301", 0, None),
        ("2024.01.31", 0, None),
    ],
)
def test_date_times(value, seconds, moved):
    assert shift_dt(value, seconds) == moved


@pytest.mark.parametrize(
    ("value", "days", "moved"),
    [
        ("20240131235959.123+0200", 1, "20240201235959.123+0200"),
        ("2024013123", 1, "2024020123"),
        ("20240131+0200", 1, "20240201+0200"),
        ("202401", 31, "202402"),
        ("2024-0500", 366, "2025-0500"),
        ("202401+0100", 31, "202402+0100"),
        ("2024x", 1, None),
    ],
)
def test_days_of_date_times(value, days, moved):
    assert shift_dt_days(value, days) == moved
