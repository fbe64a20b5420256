"""The database of an Orthanc's index: made where no image's start script can make it, such as on Amazon Aurora.

Each Orthanc owns a database of its own and sees no other (CONNECT is revoked from PUBLIC on all of them).
"""

from __future__ import annotations

from psycopg2 import sql

from common.database import Database
from common.roles import Role, ensure_role


def ensure_orthanc_database(database: Database, name: str, role: Role) -> bool:
    """Make a database that a role owns, if it is not there; tells whether it was made.

    Parameters
    ----------
    database
        Logged in as a role that may create roles and databases.
    name
        The database.
    role
        Orthanc's role; its password is set anew each time, so that it can be rotated.
    """
    owner, index = sql.Identifier(role.name), sql.Identifier(name)
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('research-pacs migrate'))")
        ensure_role(cursor, role)
        # Whoever is no superuser (Aurora's master is none) gives away only what it could hold itself.
        cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        exists = cursor.fetchone() is not None
    with database.connection() as connection, connection.cursor() as cursor:
        if not exists:
            # CREATE DATABASE runs in no transaction.
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(index, owner))
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(index))
        cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(index, owner))
    return not exists
