"""Upgrades: from every schema that there has been, with what was in it, to the schema of today."""

from __future__ import annotations

from typing import Any

import pytest

from common.database import Database
from common.migrate import Migration, migrate, read_migrations
from common.roles import Role
from deidentifier.commands.migrate import FOLDERS as INGEST
from deidentifier.commands.migrate import migrate_ingest
from website.commands.migrate import FOLDERS as RESEARCH
from website.commands.migrate import migrate_research

SIDES = {"ingest": (INGEST, migrate_ingest), "research": (RESEARCH, migrate_research)}
ROLES = [Role(name) for name in ("rpacs_deidentifier", "rpacs_reidentify", "rpacs_website")]
_SHAPE = """
SELECT 'column', table_name, column_name, data_type, is_nullable, coalesce(column_default, '')
FROM information_schema.columns WHERE table_schema = %(schema)s
UNION ALL SELECT 'index', tablename, indexname, indexdef, '', '' FROM pg_indexes WHERE schemaname = %(schema)s
UNION ALL SELECT 'grant', table_name, grantee, privilege_type, '', ''
FROM information_schema.role_table_grants WHERE table_schema = %(schema)s AND grantee LIKE 'rpacs%%'
UNION ALL SELECT 'function', p.proname, pg_get_functiondef(p.oid), '', '', '' FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = %(schema)s
ORDER BY 1, 2, 3, 4, 5, 6
"""


def steps(schema: str) -> list[Migration]:
    return read_migrations(SIDES[schema][0])


def shape(database: Database, schema: str) -> list[tuple[Any, ...]]:
    with database.transaction() as cursor:
        cursor.execute(_SHAPE, {"schema": schema})
        return [tuple(row) for row in cursor.fetchall()]


def migrate_until(database: Database, schema: str, count: int, folder) -> None:
    """Bring a schema to where a version of ours had it that knew fewer migrations."""
    folder.mkdir()
    for migration in steps(schema)[:count]:
        (folder / migration.name).write_text(migration.text)
    migrate(database, schema, [folder], ROLES)


@pytest.mark.parametrize("schema", SIDES)
def test_every_earlier_schema_becomes_the_one_of_today(schema, make_database, tmp_path):
    fresh = make_database().owner
    SIDES[schema][1](fresh)
    wanted = shape(fresh, schema)
    assert len(wanted) > 50
    for count in range(1, len(steps(schema))):
        database = make_database().owner
        migrate_until(database, schema, count, tmp_path / f"{schema}-{count}")
        applied = SIDES[schema][1](database)
        assert applied == [migration.name for migration in steps(schema)[count:]]
        assert shape(database, schema) == wanted, count


@pytest.mark.parametrize("schema", SIDES)
def test_what_was_in_the_tables_is_still_there(schema, make_database, tmp_path):
    """Tasks are in the oldest table; they are queued by a version that knew no later migration."""
    database = make_database().owner
    migrate_until(database, schema, 1, tmp_path / schema)
    with database.transaction() as cursor:
        cursor.execute(
            f"INSERT INTO {schema}.tasks (kind, subject) SELECT 'instance', n::text FROM generate_series(1, 50) n"
        )
    SIDES[schema][1](database)
    with database.transaction() as cursor:
        cursor.execute(f"SELECT count(*) FROM {schema}.tasks WHERE state = 'queued'")
        assert cursor.fetchone() == (50,)
