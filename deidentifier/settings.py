"""What the processes of the ingest side are told by environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from common.settings import (
    CommonSettings,
    StorageSettings,
    TaskSettings,
    base_url,
    integer,
    location,
    option,
    random_key,
    settings,
    switch,
    words,
)
from deidentifier.profiles.named_entities import LABELS

DEFAULT_RULES = Path(__file__).with_name("default-rules.yaml")
"""The rules that are in force where nobody says otherwise."""

MAX_INFLATED_BYTES = 4 << 30


_WITHDRAWAL_KEY = option(
    "RPACS_WITHDRAWAL_KEY",
    "Key of the hashes by which patients are known who withdrew their consent, the same for the command and all "
    "workers. At least 32 random characters; never in the database.",
    parse=random_key,
    default="",
    secret=True,
)


@settings
class OfflineSettings(StorageSettings):
    """What the commands that need no server are told; PostgreSQL's settings are read apart, if there are any."""

    rules: str = option(
        "RPACS_DEFAULT_CONFIG_FILE",
        "The rules file: a path or s3://bucket/key; without it, the rules that come with the product.",
        parse=location,
        default=str(DEFAULT_RULES),
    )
    max_inflated_bytes: int = option(
        "RPACS_MAX_INFLATED_BYTES",
        "Deflated instances and ZIP archives may not grow beyond this.",
        parse=integer(1 << 20, 1 << 40),
        default=MAX_INFLATED_BYTES,
    )
    rekognition_region: str = option(
        "RPACS_REKOGNITION_REGION",
        "AWS region of Amazon Rekognition; where it is set, burned-in text is found there unless a rule says "
        "otherwise, and pixels leave the ingest side.",
        default="",
    )
    vocabulary_file: str = option(
        "RPACS_VOCABULARY_FILE",
        "Words that CleanDescriptors keeps beside those that come with the product: a path or s3://bucket/key, words "
        "separated by white space, # begins a comment.",
        parse=location,
        default="",
    )
    ner_model: str = option(
        "RPACS_NER_MODEL",
        "Model of spaCy that finds named entities for CleanDescriptors: words inside one go, though the rules would "
        "keep them. A folder, or the name of an installed package; needs the extra ner.",
        default="",
    )
    ner_labels: tuple[str, ...] = option(
        "RPACS_NER_LABELS",
        "Labels of the entities that count: comma-separated, as the model names them.",
        parse=words,
        default=LABELS,
    )
    trust_private_characteristics: bool = option(
        "RPACS_TRUST_PRIVATE_CHARACTERISTICS",
        "Where the option RetainSafePrivate is in force, private elements stay that the sender declares to be safe in "
        "(0008,0300), beside those that the standard knows; texts among them are cleaned, UIDs replaced, dates moved.",
        parse=switch,
        default=False,
    )
    pseudonym_key: str = option(
        "RPACS_PSEUDONYM_KEY",
        "Key that new pseudonyms, UIDs and offsets are derived from, so that sites with the same key agree; without it "
        "they are random. At least 32 random characters; never in the database.",
        parse=random_key,
        default="",
        secret=True,
    )


@settings
class DestinationSettings(CommonSettings):
    """How the ingest side reaches the research Orthanc."""

    destination_url: str = option(
        "RPACS_DESTINATION_ORTHANC_HOSTNAME",
        "Base URL of the research Orthanc, which receives the results.",
        parse=base_url,
    )
    destination_username: str = option("RPACS_DESTINATION_ORTHANC_USERNAME", "User of the research Orthanc.")
    destination_password: str = option("RPACS_DESTINATION_ORTHANC_PASSWORD", "That user's password.", secret=True)


@settings
class DeidentifierSettings(OfflineSettings, DestinationSettings, TaskSettings):
    """What the de-identifier is told."""

    source_url: str = option(
        "RPACS_SOURCE_ORTHANC_HOSTNAME", "Base URL of the source Orthanc, which receives the originals.", parse=base_url
    )
    source_username: str = option("RPACS_SOURCE_ORTHANC_USERNAME", "User of the source Orthanc.")
    source_password: str = option("RPACS_SOURCE_ORTHANC_PASSWORD", "That user's password.", secret=True)
    preserve_original_files: bool = option(
        "RPACS_PRESERVE_ORIGINAL_FILES",
        "Keep originals in the source Orthanc after their results have arrived.",
        parse=switch,
        default=False,
    )
    withdrawal_key: str = _WITHDRAWAL_KEY
    submission_key: str = option(
        "RPACS_SUBMISSION_KEY",
        "Key that encrypts what is handed in by submit, the same for the command and all workers.",
        default="",
        secret=True,
    )


@settings
class ReidentifySettings(CommonSettings):
    """What the command that reads mappings backwards is told."""

    audit_key: str = option(
        "RPACS_CONSOLE_AUDIT_KEY", "Key that chains the console's audit trail.", parse=random_key, secret=True
    )
    export_key: str = option(
        "RPACS_MAPPINGS_EXPORT_KEY",
        "Key that encrypts exported mappings: 32 random bytes in URL-safe base64.",
        default="",
        secret=True,
    )


@settings
class WithdrawSettings(DestinationSettings):
    """What the command that withdraws consent is told."""

    withdrawal_key: str = _WITHDRAWAL_KEY


def has_database(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether any setting of PostgreSQL is given: then all must be, and mappings are kept there."""
    environ = os.environ if environ is None else environ
    return any(value for name, value in environ.items() if name.startswith("RPACS_POSTGRESQL_"))


def ignored_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the variables of earlier versions that are set but mean nothing any more (the message queue's)."""
    environ = os.environ if environ is None else environ
    return sorted(name for name in environ if name.startswith("RPACS_SQS_"))
