"""The list of a job: fixed when it starts, ticked off in batches after S3 has the objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg2.extras import execute_values

from common.database import Database, load_statements
from website.exports.bucket import Sent
from website.exports.choices import Choices
from website.exports.keys import Identity, base_key
from website.index.document import pack_id, unpack_id

_PAGE = 1000
_COLUMNS = ("numbers", "instances", "keys", "patients", "studies", "series", "uids", "modalities")
_SQL = Path(__file__).with_name("items.sql")


@dataclass(frozen=True)
class Item:
    """An instance of the list; ``key`` is below the prefix, without ending."""

    number: int
    instance: str
    key: str


@dataclass(frozen=True)
class Outcome:
    """What became of an instance: its objects, or why there are none."""

    item: Item
    sent: Sequence[Sent] = ()
    code: str = ""
    reason: str = ""


class Items:
    """The list of one job."""

    def __init__(self, database: Database, export: str) -> None:
        self._database = database
        self._export = export
        self._sql = load_statements(_SQL)

    def write(self, identities: Iterable[Identity], choices: Choices) -> int:
        """Write the list, all or nothing; returns its length."""
        count = 0
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["clear"], {"id": self._export})
            for page in _pages(identities):
                rows = [self._row(count + number, each, choices) for number, each in enumerate(page)]
                columns = [list(column) for column in zip(*rows, strict=True)]  # a third of the time of rows
                cursor.execute(self._sql["write"], dict(zip(_COLUMNS, columns, strict=True)) | {"id": self._export})
                count += len(rows)
            cursor.execute(self._sql["listed"], {"id": self._export, "instances": count})
        return count

    def _row(self, number: int, each: Identity, choices: Choices) -> tuple[Any, ...]:
        values = (each.patient_id, each.study_uid, each.series_uid, each.sop_uid, each.modality)
        plain = (value.replace("\0", "") for value in values)
        return (number, pack_id(each.instance), base_key(each, choices), *plain)

    def waiting(self) -> Iterator[Item]:
        """Yield what is not done, in order; pages are read as they are needed."""
        after = -1
        while page := self._rows("waiting", after=after, limit=_PAGE):
            for number, instance, key in page:
                yield Item(number, unpack_id(instance), key)
            after = page[-1][0]

    def refuse(self, items: Sequence[Item], code: str, reason: str) -> None:
        """Mark instances as failed that must not be sent any more."""
        self.finish([Outcome(item, (), code, reason) for item in items])

    def finish(self, outcomes: Sequence[Outcome], rate: float | None = None) -> int:
        """Tick off instances in one transaction; what was ticked off already counts once. Returns how many are new."""
        with self._database.transaction() as cursor:
            values = {
                "id": self._export,
                "numbers": [outcome.item.number for outcome in outcomes],
                "states": ["failed" if outcome.code else "sent" for outcome in outcomes],
                "codes": [outcome.code or None for outcome in outcomes],
                "reasons": [outcome.reason or None for outcome in outcomes],
            }
            cursor.execute(self._sql["finish"], values)
            new = {number for (number,) in cursor.fetchall()}
            fresh = [outcome for outcome in outcomes if outcome.item.number in new]
            objects = [
                (self._export, outcome.item.number, place, sent.key, sent.size, sent.sha256)
                for outcome in fresh
                for place, sent in enumerate(outcome.sent)
            ]
            if objects:
                statement = "INSERT INTO research.export_objects (export, item, place, key, bytes, sha256) VALUES %s"
                execute_values(cursor, statement, objects, page_size=_PAGE)
            failed = sum(bool(outcome.code) for outcome in fresh)
            progress = {"sent": len(fresh) - failed, "failed": failed, "objects": len(objects), "rate": rate}
            total = sum(row[4] for row in objects)
            cursor.execute(self._sql["add_progress"], {"id": self._export, "bytes": total, **progress})
        return len(fresh)

    # ------------------------------------------------------------------------------------------------- reading
    def manifest(self) -> Iterator[tuple[Any, ...]]:
        """Yield a row per object: key, bytes, SHA-256, patient ID, UIDs, modality, Orthanc's identifier."""
        item, place = -1, -1
        while page := self._rows("manifest", item=item, place=place):
            for row in page:
                yield (*row[:8], unpack_id(row[8]))
            item, place = page[-1][9], page[-1][10]

    def failures(self, limit: int = 0) -> Iterator[tuple[Any, ...]]:
        """Yield a row per failed instance: Orthanc's identifier, patient ID, UIDs, modality, code, reason."""
        after, left = -1, limit or -1
        while left and (page := self._rows("failures", after=after, limit=min(_PAGE, left) if left > 0 else _PAGE)):
            for row in page:
                yield (unpack_id(row[0]), *row[1:8])
            after, left = page[-1][8], left - len(page) if left > 0 else left

    def failure_classes(self) -> list[tuple[str, str, int]]:
        """Return the commonest reasons, and of how many instances each."""
        return [(str(code), str(reason), int(count)) for code, reason, count in self._rows("failure_classes")]

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._database.transaction() as cursor:
            cursor.execute(self._sql[statement], {"id": self._export, **values})
            return cursor.fetchall()


def _pages(identities: Iterable[Identity]) -> Iterator[list[Identity]]:
    page: list[Identity] = []
    for each in identities:
        page.append(each)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
