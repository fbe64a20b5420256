"""The pool, transactions, and what is said of PostgreSQL's errors."""

import threading

import pytest

from common.database import Database, load_statements
from common.errors import DatabaseUnavailableError, StatementError, TransientError
from demo.servers.process import free_port

MARKED = "MARKED^IDENTIFIER"


@pytest.fixture
def table(database):
    with database.owner.transaction() as cursor:
        cursor.execute("CREATE TABLE mappings (original text CONSTRAINT one_original UNIQUE)")
    return database


def rows(database):
    with database.owner.transaction() as cursor:
        cursor.execute("SELECT original FROM mappings ORDER BY 1")
        return [value for (value,) in cursor.fetchall()]


def test_a_transaction_commits(table):
    with table.owner.transaction() as cursor:
        cursor.execute("INSERT INTO mappings VALUES ('a')")
    assert rows(table) == ["a"]


def test_any_exception_rolls_back(table):
    def insert_and_fail():
        with table.owner.transaction() as cursor:
            cursor.execute("INSERT INTO mappings VALUES ('a')")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        insert_and_fail()
    assert rows(table) == []


def test_a_refused_statement_names_the_constraint_and_no_value(table):
    with pytest.raises(StatementError) as caught, table.owner.transaction() as cursor:
        cursor.execute("INSERT INTO mappings VALUES (%s), (%s)", (MARKED, MARKED))
    assert str(caught.value) == "PostgreSQL refused a statement (SQLSTATE 23505 one_original)"
    assert MARKED in str(caught.value.__cause__), "PostgreSQL itself quotes it"


def test_a_lost_connection_is_transient_and_the_pool_recovers(table):
    def lose_the_connection():
        with table.owner.transaction() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
            with table.owner.connection() as other, other.cursor() as killer:
                killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
            cursor.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailableError):
        lose_the_connection()
    assert rows(table) == []


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_primary_that_became_a_standby_is_transient_and_left(table, by_itself):
    pool = Database(table.server.dsn(table.name), max_connections=1)
    ((before,),) = pool.call("SELECT pg_backend_pid()")
    with pool.transaction() as cursor:
        cursor.execute("SET default_transaction_read_only = on")

    def insert():
        if by_itself:
            pool.call("INSERT INTO mappings VALUES ('a') RETURNING 1")
            return
        with pool.transaction() as cursor:
            cursor.execute("INSERT INTO mappings VALUES ('a')")

    with pytest.raises(DatabaseUnavailableError, match="25006"):
        insert()
    insert()
    assert rows(table) == ["a"]
    assert pool.call("SELECT pg_backend_pid()") != [(before,)]
    pool.close()


def test_a_deadlock_is_transient(table):
    with table.owner.transaction() as cursor:
        cursor.execute("INSERT INTO mappings VALUES ('a'), ('b')")
    barrier, caught = threading.Barrier(2, timeout=30), []

    def update(first, second):
        try:
            with table.owner.transaction() as cursor:
                cursor.execute("UPDATE mappings SET original = original WHERE original = %s", (first,))
                barrier.wait()
                cursor.execute("UPDATE mappings SET original = original WHERE original = %s", (second,))
        except TransientError as exc:
            caught.append(exc)

    threads = [threading.Thread(target=update, args=pair) for pair in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caught) == 1


def test_nobody_listens():
    nowhere = Database({"host": "127.0.0.1", "port": free_port(), "dbname": "x", "user": "x", "password": "x"})
    with pytest.raises(DatabaseUnavailableError), nowhere.transaction():
        pytest.fail("there is no transaction")


def test_no_more_connections_than_allowed(database):
    pool = Database(database.server.dsn(database.name), max_connections=2)
    seen, lock = set(), threading.Lock()

    def use():
        with pool.transaction() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            with lock:
                seen.add(cursor.fetchone()[0])

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()
    assert 1 <= len(seen) <= 2


def test_named_statements(tmp_path):
    file = tmp_path / "x.sql"
    file.write_text("-- name: first\n-- What it does.\nSELECT 1;\n\n-- name: second\nSELECT 2;\n")
    assert load_statements(file) == {"first": "-- What it does.\nSELECT 1;", "second": "SELECT 2;"}
