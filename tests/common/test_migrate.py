"""Migrations: once each, in order, several processes at once; roles that see their side only."""

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from common.database import Database
from common.errors import ConfigurationError, DatabaseUnavailableError, StatementError
from common.migrate import migrate, read_migrations
from common.orthanc_database import ensure_orthanc_database
from common.roles import Role
from deidentifier.__main__ import main
from deidentifier.commands.migrate import migrate_ingest
from website.commands.migrate import migrate_research


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "0002_second.sql").write_text("INSERT INTO {schema}.numbers VALUES (2);")
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE {schema}.numbers (x int);")
    return tmp_path


def test_each_is_applied_once_in_order(database, folder):
    assert migrate(database.owner, "ingest", [folder]) == ["0001_first.sql", "0002_second.sql"]
    assert migrate(database.owner, "ingest", [folder]) == []
    (folder / "0003_third.sql").write_text("INSERT INTO {schema}.numbers VALUES (3);")
    assert migrate(database.owner, "ingest", [folder]) == ["0003_third.sql"]


def test_several_processes_at_once(database, folder):
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate(database.owner, "ingest", [folder]), range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, 2]


def test_an_edited_migration_is_noticed(database, folder):
    migrate(database.owner, "ingest", [folder])
    (folder / "0001_first.sql").write_text("CREATE TABLE {schema}.numbers (x bigint);")
    with pytest.raises(ConfigurationError, match=r"0001_first\.sql was edited"):
        migrate(database.owner, "ingest", [folder])


def test_a_failing_migration_leaves_nothing(database, folder):
    (folder / "0003_third.sql").write_text("SELECT no_such_function();")
    with pytest.raises(StatementError):
        migrate(database.owner, "ingest", [folder])
    with database.owner.transaction() as cursor:
        cursor.execute("SELECT to_regnamespace('ingest')")
        assert cursor.fetchone() == (None,)


def test_one_number_twice(folder):
    (folder / "0001_another.sql").write_text("")
    with pytest.raises(ConfigurationError, match="one number"):
        read_migrations([folder])


def test_a_schema_is_a_plain_name(database):
    with pytest.raises(ConfigurationError, match="no name for a schema"):
        migrate(database.owner, "ingest; DROP", [])


def test_a_role_logs_in_with_its_password_only(database, folder):
    migrate(database.owner, "ingest", [folder], [Role("rpacs_tested", "first one")])
    migrate(database.owner, "ingest", [folder], [Role("rpacs_tested")])
    psycopg2.connect(**database.server.dsn(database.name, "rpacs_tested", "first one")).close()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(**database.server.dsn(database.name, "rpacs_tested", "another"))


def test_nobody_connects_who_was_not_granted(database, make_database, folder):
    migrate(database.owner, "ingest", [folder], [Role("rpacs_insider", "x")])
    other = make_database()
    migrate(other.owner, "ingest", [folder], [Role("rpacs_outsider", "x")])
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        psycopg2.connect(**database.server.dsn(database.name, "rpacs_outsider", "x"))


def tables(database, schema):
    with database.owner.transaction() as cursor:
        cursor.execute(
            "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s", (schema,)
        )
        return [name for (name,) in cursor.fetchall()]


@pytest.fixture
def both_sides(database):
    migrate_ingest(database.owner, "rpacs_deidentifier", "rpacs_reidentify")
    migrate_research(database.owner, "rpacs_website")
    return database


@pytest.mark.parametrize(
    ("role", "schema"),
    [("rpacs_website", "ingest"), ("rpacs_deidentifier", "research"), ("rpacs_reidentify", "research")],
)
def test_a_role_reads_no_table_of_the_other_side(both_sides, role, schema):
    login = both_sides.login(role)
    names = tables(both_sides, schema)
    assert names
    for name in names:
        with pytest.raises(StatementError, match="SQLSTATE 42501"), login.transaction() as cursor:
            cursor.execute(f"SELECT * FROM {name}")
    login.close()


@pytest.mark.parametrize("role", ["rpacs_website", "rpacs_deidentifier", "rpacs_reidentify"])
def test_a_role_makes_no_tables(both_sides, role):
    login = both_sides.login(role)
    for schema in ("public", "ingest", "research"):
        with pytest.raises(StatementError, match=r"SQLSTATE (42501|3F000)"), login.transaction() as cursor:
            cursor.execute(f"CREATE TABLE {schema}.mine (x int)")
    login.close()


def test_the_portal_sees_the_value_free_status(both_sides):
    login = both_sides.login("rpacs_website")
    with login.transaction() as cursor:
        cursor.execute("SELECT * FROM ingest.status")
        assert cursor.fetchall() == []
    login.close()


def test_an_orthanc_owns_its_database_and_sees_no_other(database):
    migrate(database.owner, "ingest", [])
    role = Role(f"orthanc_of_{database.name}", "first-password")
    assert ensure_orthanc_database(database.owner, role.name, role) is True
    rotated = Role(role.name, "second-password")
    assert ensure_orthanc_database(database.owner, role.name, rotated) is False
    own = Database(database.server.dsn(role.name, role.name, "second-password"))
    with own.transaction() as cursor:
        cursor.execute("CREATE TABLE resources (id int)")
    own.close()
    with pytest.raises((DatabaseUnavailableError, StatementError)):
        Database(database.server.dsn(database.name, role.name, "second-password")).call("SELECT 1")
    database.server.execute(f"DROP DATABASE {role.name}")


def test_migrating_makes_the_database_of_an_orthanc_where_its_password_is_given(database, monkeypatch):
    environ = database.environ(database.server.superuser) | {"RPACS_MIGRATE_SOURCE_ORTHANC_PASSWORD": "a-password"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main(["migrate"]) == 0
    with database.owner.transaction() as cursor:
        cursor.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'source_orthanc'")
        assert cursor.fetchone() == ("source_orthanc",)
    database.server.execute("DROP DATABASE source_orthanc")
