"""Make the engine as the settings of the ingest side say.

Workers, submissions and the console's preview get theirs here, so that all of them come to the same result.
"""

from __future__ import annotations

from common.database import Database
from common.storage import Storage
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import PostgresMappings
from deidentifier.profiles.clean_text import site_vocabulary
from deidentifier.pseudonym_key import pseudonym_key
from deidentifier.rules_file import load_rules
from deidentifier.settings import DeidentifierSettings
from deidentifier.withdrawal import Withdrawals


class DeidentifierBuilder:
    """Makes de-identifiers that differ in their rules alone.

    Parameters
    ----------
    settings
        Keys, limits, vocabulary and where text in pixels is found.
    database
        Where mappings and withdrawals are kept.

    Raises
    ------
    ResearchPacsError
        The vocabulary cannot be read.
    """

    def __init__(self, settings: DeidentifierSettings, database: Database) -> None:
        self._settings = settings
        self.storage = Storage(endpoint=settings.s3_endpoint, region=settings.aws_region)
        self._key = pseudonym_key(settings.pseudonym_key)
        self._mappings = PostgresMappings(database, key=self._key)
        self._withdrawals = Withdrawals(database, settings.withdrawal_key)
        self._vocabulary = site_vocabulary(settings.vocabulary_file, self.storage)

    def build(self, rules: bytes | str, name: str) -> Deidentifier:
        """Make one for the text of a rules file; messages call it ``name``.

        Raises
        ------
        RulesError
            The rules are wrong.
        """
        return Deidentifier(
            load_rules(rules, name),
            self._mappings,
            max_inflated=self._settings.max_inflated_bytes,
            rekognition_region=self._settings.rekognition_region or None,
            key=self._key,
            withdrawn=self._withdrawals.holds,
            vocabulary=self._vocabulary,
            trusts_declared=self._settings.trust_private_characteristics,
        )
