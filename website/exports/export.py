"""One export: what it was made of, where it stands, what may be asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from website.exports.choices import Choices
from website.exports.destinations import Destination


@dataclass(frozen=True)
class Export:
    """One job, as its row says."""

    id: str
    user: str
    state: str
    wish: str | None
    reason: str | None
    query: str
    english: str
    filter: str
    counts: Mapping[str, int]
    choices: Choices
    destination: Destination
    purpose: str | None
    notify: str | None
    run: int
    listed: bool
    instances: int
    sent: int
    failed: int
    objects: int
    bytes: int
    rate: float
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> Export:
        """Make it of a row of the statements ``read`` and ``list``."""
        values = dict(zip((each.name for each in fields(cls)), row, strict=True))
        choices, destination = Choices(**values["choices"]), Destination(**values["destination"])
        return cls(**{**values, "id": str(values["id"]), "choices": choices, "destination": destination})

    @property
    def ended(self) -> bool:
        """Tell whether nothing happens any more by itself."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def done(self) -> int:
        """Instances that were sent or have failed."""
        return self.sent + self.failed

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return 1.0 if self.state == "done" else self.done / self.instances if self.instances else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end at the rate of late; None where unknown."""
        return (self.instances - self.done) / self.rate if self.state == "running" and self.rate > 0 else None

    @property
    def can(self) -> frozenset[str]:
        """What its user may ask of it now."""
        asked = {
            "queued": {"pause", "cancel"},
            "running": {"pause", "cancel"} if self.wish is None else set(),
            "paused": {"resume", "cancel"},
            "done": {"rerun"} if self.failed else set(),
            "failed": {"resume"},
        }
        return frozenset(asked.get(self.state, set()))


@dataclass(frozen=True)
class NewExport:
    """What a job is made of."""

    user: str
    query: str
    english: str
    filter: str
    counts: Mapping[str, int]
    choices: Choices
    destination: Destination
    purpose: str | None = None
    notify: str | None = None
