"""Bring the schema of the research side up to date, and its role with it.

Runs as the role that owns the schema (``RPACS_POSTGRESQL_USERNAME``). Idempotent; run it before every new version.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common.database import Database
from common.migrate import COMMON_FOLDER, migrate, migrate_side
from common.roles import Role
from common.settings import CommonSettings, load, option, settings

SCHEMA = "research"
FOLDERS = (COMMON_FOLDER, Path(__file__).parents[1] / "sql")


@settings
class MigrationSettings(CommonSettings):
    """What migrating the research side takes: the password that its role gets."""

    website_password: str = option(
        "RPACS_WEBSITE_POSTGRESQL_PASSWORD",
        "migrate gives this password to the role rpacs_website; without it, the role stays as it is.",
        default="",
        secret=True,
    )
    orthanc_password: str = option(
        "RPACS_MIGRATE_RESEARCH_ORTHANC_PASSWORD",
        "migrate makes the role and the database research_orthanc of the research Orthanc's index, with this password; "
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
        "website migrate",
        lambda database: migrate_research(database, configured.website_password),
        Role("research_orthanc", configured.orthanc_password),
    )
    return 0


def migrate_research(database: Database, website_password: str = "") -> list[str]:
    """Bring the schema ``research`` up to date; returns the names of what was applied."""
    return migrate(database, SCHEMA, FOLDERS, [Role("rpacs_website", website_password or None)])
