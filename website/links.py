"""Links to one study or series: for viewers that cannot send headers, and for other users of the portal."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from common.auth.sessions import digest
from common.auth.tokens import PREFIX
from common.database import Database, load_statements
from common.errors import NotFoundError, UnauthenticatedError

MAX_LINKS = 100
_SQL = load_statements(Path(__file__).with_name("links.sql"))


@dataclass(frozen=True)
class Link:
    """A link that holds, without its token.

    Attributes
    ----------
    kind
        ``viewer``: whoever has it reads as its owner. ``share``: a user who is signed in reads what both may.
    level, resource
        ``study`` or ``series``, and Orthanc's identifier.
    recipient
        Of a share, its user; None for anyone who is signed in.
    """

    id: str
    kind: str
    owner: str
    recipient: str | None
    level: str
    resource: str
    label: str
    purpose: str | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class Links:
    """The table of links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make_viewer(
        self, owner: str, *, resource: str, label: str, lifetime: timedelta, purpose: str | None = None
    ) -> tuple[str, Link]:
        """Make a link to a study for a viewer; its token is returned here and never again."""
        token = PREFIX + "link_" + secrets.token_urlsafe(32)
        given = {"owner": owner, "resource": resource, "label": label, "lifetime": lifetime, "purpose": purpose}
        return token, self._create(kind="viewer", sha256=digest(token), recipient=None, level="study", **given)

    def make_share(
        self, owner: str, *, level: str, resource: str, label: str, lifetime: timedelta, recipient: str | None = None
    ) -> Link:
        """Make a link to a study or series for another user, or for anyone who is signed in."""
        given = {"owner": owner, "resource": resource, "label": label, "lifetime": lifetime, "purpose": None}
        return self._create(kind="share", sha256=None, recipient=recipient, level=level, **given)

    def verify(self, token: str) -> Link:
        """Return the viewer's link that a token belongs to, and note its use.

        Raises
        ------
        UnauthenticatedError
            There is none, it expired, or it was revoked.
        """
        found = self._find("find_viewer", sha256=digest(token))
        if found is None:
            raise UnauthenticatedError("the link is unknown, expired or revoked")
        return found

    def shared(self, link_id: str, user: str) -> Link:
        """Return a share that is meant for a user, and note its use.

        Raises
        ------
        NotFoundError
            There is none, it expired, was revoked, or is for somebody else.
        """
        found = self._find("find_share", id=link_id, user=user)
        if found is None:
            raise NotFoundError
        return found

    def list(self, owner: str) -> list[Link]:
        """Return a user's links that hold, the newest first."""
        with self._database.transaction() as cursor:
            cursor.execute(_SQL["list"], {"owner": owner})
            return [_link(row) for row in cursor.fetchall()]

    def revoke(self, link_id: str, owner: str) -> None:
        """End a link; raises ``NotFoundError`` where it is not this user's."""
        with self._database.transaction() as cursor:
            cursor.execute(_SQL["revoke"], {"id": link_id, "owner": owner})
            if not cursor.rowcount:
                raise NotFoundError

    def revoke_all(self, owner: str) -> None:
        """End all links of a user."""
        with self._database.transaction() as cursor:
            cursor.execute(_SQL["revoke_all"], {"owner": owner})

    def _create(self, **values: Any) -> Link:
        with self._database.transaction() as cursor:
            cursor.execute(_SQL["create"], values)
            return _link(cursor.fetchone())

    def _find(self, statement: str, **values: Any) -> Link | None:
        with self._database.transaction() as cursor:
            cursor.execute(_SQL[statement], values)
            row = cursor.fetchone()
            if row is None:
                return None
            cursor.execute(_SQL["touch"], {"id": row[0]})
        return _link(row)


def _link(row: Any) -> Link:
    return Link(str(row[0]), *row[1:])
