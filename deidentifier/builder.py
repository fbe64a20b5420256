"""Make the engine as the settings of the ingest side say.

Workers, submissions, the console's preview and the commands that work on files get theirs here, so that all of them
come to the same result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from common.storage import Storage
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MappingStore, MemoryMappings, PostgresMappings
from deidentifier.profiles.clean_text import site_vocabulary
from deidentifier.profiles.named_entities import recogniser
from deidentifier.pseudonym_key import pseudonym_key
from deidentifier.rules import Rules
from deidentifier.rules_file import load_rules
from deidentifier.settings import DeidentifierSettings, OfflineSettings

if TYPE_CHECKING:
    from common.database import Database


class DeidentifierBuilder:
    """Makes de-identifiers that differ in their rules alone.

    Parameters
    ----------
    settings
        Keys, limits, vocabulary, the model of named entities, and where text in pixels is found.
    mappings
        Where mappings are kept; by default in memory.
    withdrawn
        Tells whether the patient with a Patient ID withdrew the consent.

    Raises
    ------
    ResearchPacsError
        The vocabulary cannot be read, or the model of named entities not be loaded.
    """

    def __init__(
        self,
        settings: OfflineSettings,
        mappings: MappingStore | None = None,
        withdrawn: Callable[[str], bool] | None = None,
    ) -> None:
        self._settings = settings
        self.storage = Storage(endpoint=settings.s3_endpoint, region=settings.aws_region)
        self._key = pseudonym_key(settings.pseudonym_key)
        self._mappings = mappings if mappings is not None else MemoryMappings()
        self._withdrawn = withdrawn
        self._vocabulary = site_vocabulary(settings.vocabulary_file, self.storage)
        self.recogniser = recogniser(settings.ner_model, settings.ner_labels)

    @classmethod
    def with_database(cls, settings: DeidentifierSettings, database: Database) -> DeidentifierBuilder:
        """Make one whose engines keep mappings in a database, and discard what withdrew its consent there."""
        from deidentifier.withdrawal import Withdrawals  # Orthanc's client: nothing that a run over files needs

        mappings = PostgresMappings(database, key=pseudonym_key(settings.pseudonym_key))
        return cls(settings, mappings, Withdrawals(database, settings.withdrawal_key).holds)

    def load(self, rules: bytes | str, name: str) -> Deidentifier:
        """Make one for the text of a rules file; messages call it ``name``.

        Raises
        ------
        RulesError
            The rules are wrong.
        """
        return self.build(load_rules(rules, name))

    def build(self, rules: Rules, *, checks_leaks: bool = True) -> Deidentifier:
        """Make one for rules."""
        return Deidentifier(
            rules,
            self._mappings,
            max_inflated=self._settings.max_inflated_bytes,
            rekognition_region=self._settings.rekognition_region or None,
            checks_leaks=checks_leaks,
            key=self._key,
            withdrawn=self._withdrawn,
            vocabulary=self._vocabulary,
            recogniser=self.recogniser,
            trusts_declared=self._settings.trust_private_characteristics,
        )
