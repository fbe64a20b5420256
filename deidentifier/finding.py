"""What rules did to one element, for reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """What rules did to an element: its path, its VR, the rules with their lines, what became of it, and notes."""

    path: str
    vr: str
    rules: tuple[str, ...]
    outcome: str
    notes: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """Return the finding as plain data, for a report."""
        return dict(vars(self))
