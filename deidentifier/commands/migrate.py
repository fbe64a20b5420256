"""Bring the schema of the ingest side up to date, and its roles with it.

Runs as the role that owns the schema (``RPACS_POSTGRESQL_USERNAME``). Idempotent; run it before every new version.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common.database import Database
from common.migrate import COMMON_FOLDER, migrate, migrate_side
from common.roles import Role
from common.settings import CommonSettings, load, option, settings

SCHEMA = "ingest"
FOLDERS = (COMMON_FOLDER, Path(__file__).parents[1] / "sql")


@settings
class MigrationSettings(CommonSettings):
    """What migrating the ingest side takes: the passwords that its roles get."""

    deidentifier_password: str = option(
        "RPACS_DEIDENTIFIER_POSTGRESQL_PASSWORD",
        "migrate gives this password to the role rpacs_deidentifier; without it, the role stays as it is.",
        default="",
        secret=True,
    )
    reidentify_password: str = option(
        "RPACS_REIDENTIFY_POSTGRESQL_PASSWORD",
        "migrate gives this password to the role rpacs_reidentify; without it, nobody logs in as that role.",
        default="",
        secret=True,
    )
    orthanc_password: str = option(
        "RPACS_MIGRATE_SOURCE_ORTHANC_PASSWORD",
        "migrate makes the role and the database source_orthanc of the source Orthanc's index, with this password; "
        "without it, neither is touched.",
        default="",
        secret=True,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments: none."""


def run(arguments: argparse.Namespace) -> int:
    """Migrate; print what was applied."""
    configured = load(MigrationSettings)
    migrate_side(
        configured,
        "deidentifier migrate",
        lambda database: migrate_ingest(database, configured.deidentifier_password, configured.reidentify_password),
        Role("source_orthanc", configured.orthanc_password),
    )
    return 0


def migrate_ingest(database: Database, deidentifier_password: str = "", reidentify_password: str = "") -> list[str]:
    """Bring the schema ``ingest`` up to date; returns the names of what was applied."""
    roles = [
        Role("rpacs_deidentifier", deidentifier_password or None),
        Role("rpacs_reidentify", reidentify_password or None),
        Role("rpacs_website"),  # is granted the view of the status, where both sides share a database
    ]
    return migrate(database, SCHEMA, FOLDERS, roles)
