"""Withdrawal of consent: what was made of a patient goes, the way back goes, and nothing of the patient comes again.

The order holds whenever it is stopped in between: first re-entry is blocked, then the research instances are deleted,
and only when none is left are the mappings erased, without which nobody could find them any more.
"""

from __future__ import annotations

import hmac
import time
import unicodedata
from collections.abc import Iterator, Sequence

from common.database import Database
from common.errors import NotFoundError, QuarantineError
from common.orthanc import Orthanc
from deidentifier.mappings import indexed

REFRESH_SECONDS = 2.0
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")
_PSEUDONYMS = """
SELECT DISTINCT replacement FROM ingest.mappings
WHERE kind = 'TEXT' AND original = ANY (%(spellings)s)
  AND (scope_type = 'Always' OR scope_value = ANY (%(spellings)s)
       OR %(ignore_case)s AND lower(scope_value) = ANY (%(spellings)s))
"""
# Of its patient a row knows by its scope value; those of UIDs by the research UIDs that were deleted; those of narrower
# scopes by the original UIDs that these stand for.
_ERASE = """
WITH uids AS (
  DELETE FROM ingest.mappings WHERE kind = 'UID' AND replacement = ANY (%(uids)s) RETURNING original
), narrower AS (
  DELETE FROM ingest.mappings
  WHERE scope_type IN ('SameStudy', 'SameSeries', 'SameInstance') AND scope_value IN (SELECT original FROM uids)
  RETURNING 1
), own AS (
  DELETE FROM ingest.mappings
  WHERE (scope_type = 'SamePatient' AND scope_value = ANY (%(spellings)s))
     OR (scope_type = 'SamePatient' AND %(ignore_case)s AND lower(scope_value) = ANY (%(spellings)s))
     OR (kind = 'TEXT' AND scope_type = 'Always' AND original = ANY (%(spellings)s))
  RETURNING 1
)
SELECT (SELECT count(*) FROM uids) + (SELECT count(*) FROM narrower) + (SELECT count(*) FROM own)
"""


def normal(patient_id: str) -> str:
    """Return a Patient ID as mappings know it: without padding, in Unicode NFC."""
    return unicodedata.normalize("NFC", patient_id.strip(" \0"))


class Withdrawals:
    """The patients whose instances are not taken any more; safe to share between threads.

    Parameters
    ----------
    key
        RPACS_WITHDRAWAL_KEY.
    """

    def __init__(self, database: Database, key: str) -> None:
        self._database, self._key = database, key.encode()
        self._hashes: frozenset[bytes] = frozenset()
        self._read_at = float("-inf")

    def holds(self, patient_id: str) -> bool:
        """Tell whether a patient withdrew; known everywhere after :data:`REFRESH_SECONDS`.

        Raises
        ------
        QuarantineError
            Somebody withdrew, and there is no key to know them by.
        """
        if time.monotonic() - self._read_at > REFRESH_SECONDS:
            self._hashes = self._read()
            self._read_at = time.monotonic()
        if self._hashes and not self._key:
            raise QuarantineError("patients have withdrawn their consent, but RPACS_WITHDRAWAL_KEY is not set")
        return bool(self._hashes) and not self._hashes.isdisjoint(
            (self.hash(patient_id), self.hash(patient_id, ignore_case=True))
        )

    def hash(self, patient_id: str, *, ignore_case: bool = False) -> bytes:
        """Return the keyed hash of a Patient ID; ``ignore_case``: of all that differ from it in case alone."""
        text = "ignore case\0" + normal(patient_id).casefold() if ignore_case else normal(patient_id)
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")

    def block(self, patient_id: str, *, ignore_case: bool = False) -> None:
        """Take nothing of a patient any more."""
        with self._database.transaction() as cursor:
            statement = "INSERT INTO ingest.withdrawals (patient) VALUES (%s) ON CONFLICT DO NOTHING"
            cursor.execute(statement, (self.hash(patient_id, ignore_case=ignore_case),))

    def _read(self) -> frozenset[bytes]:
        return frozenset(bytes(row[0]) for row in self._database.call("SELECT patient FROM ingest.withdrawals", ()))


class Withdrawal:
    """Deletes what was made of a patient.

    Parameters
    ----------
    database
        Logged in as the role that owns the schema.
    research
        The research Orthanc.
    ignore_case
        Patient IDs that differ in case alone are one patient's, as for rules with ``IgnoreCase``.
    """

    def __init__(
        self, database: Database, research: Orthanc, withdrawals: Withdrawals, *, ignore_case: bool = False
    ) -> None:
        self._database, self._research, self._withdrawals = database, research, withdrawals
        self._ignore_case = ignore_case

    def block(self, patient_id: str) -> None:
        """Take nothing of the patient any more."""
        self._withdrawals.block(patient_id, ignore_case=self._ignore_case)

    def is_known_in_lower_case(self, patient_id: str) -> bool:
        """Tell whether the lower case of a Patient ID has a pseudonym: rules with ``IgnoreCase`` keep it so."""
        spelling = indexed(normal(patient_id).casefold())
        parameters = {"spellings": [spelling], "ignore_case": True}
        return spelling != indexed(normal(patient_id)) and bool(self._database.call(_PSEUDONYMS, parameters))

    def delete_instances(self, patient_id: str) -> Iterator[tuple[str, ...]]:
        """Delete the research instances; yields the UIDs of each, the SOP Instance UID last."""
        for pseudonym in self._pseudonyms(patient_id):
            query = {"Level": "Instance", "Expand": False, "CaseSensitive": True, "Query": {"PatientID": pseudonym}}
            for instance in self._research.post_json("/tools/find", query):
                try:
                    tags = self._research.get_json(f"/instances/{instance}/simplified-tags")
                    self._research.delete_instance(instance)
                except NotFoundError:
                    continue
                yield tuple(str(tags[name]) for name in _UIDS if tags.get(name))

    def erase(self, patient_id: str, uids: Sequence[str]) -> int:
        """Erase the mappings of the patient, and those of the UIDs that were deleted; returns how many."""
        ((count,),) = self._database.call(_ERASE, {**self._of(patient_id), "uids": [*uids]})
        return int(count)

    def _of(self, patient_id: str) -> dict[str, object]:
        """Return what finds the mappings of a patient."""
        spellings = [normal(patient_id), *([normal(patient_id).casefold()] if self._ignore_case else [])]
        return {"spellings": [indexed(spelling) for spelling in spellings], "ignore_case": self._ignore_case}

    def _pseudonyms(self, patient_id: str) -> list[str]:
        rows = self._database.call(_PSEUDONYMS, self._of(patient_id))
        return [str(row[0]) for row in rows if str(row[0]).strip() and not set(str(row[0])) & set("*?\\")]
