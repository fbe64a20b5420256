"""What a link lets read: never more than its owner may now, and of a share never more than its reader may."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from common.auth.identity import Identity
from common.auth.users import Users
from common.errors import NotFoundError, UnauthenticatedError
from common.query import EVERYTHING, Node, all_of
from website.catalogue import Catalogue
from website.index import Level
from website.links import Link, Links
from website.permissions import Access, PermissionsFile

_MOST_SCOPES = 1000


class LinkAccess:
    """Opens links. Safe to share between threads."""

    def __init__(self, links: Links, users: Users, permissions: PermissionsFile, catalogue: Catalogue) -> None:
        self.table = links
        self._users, self._permissions, self._catalogue = users, permissions, catalogue
        # Orthanc's identifier is a hash of the UIDs that the tree names: the same one always means the same.
        self._scopes: dict[tuple[str, str], Node] = {}

    def open(self, token: str) -> tuple[Link, Identity, Access]:
        """Return a viewer's link, whom it stands for, and what it lets read.

        Raises
        ------
        UnauthenticatedError
            The link is unknown, expired or revoked, or its owner is disabled or logged in too long ago.
        NotFoundError
            The index has the study no more.
        """
        link = self.table.verify(token)
        identity = Identity(link.owner, self._users.groups(link.owner), "link")
        access = self._permissions.value.access(identity.user, identity.groups)
        return link, identity, access.within(self.scope(link))

    def open_share(self, link_id: str, reader: Access) -> tuple[Link, Access]:
        """Return a share, and what it lets this reader read.

        Raises
        ------
        NotFoundError
            It is not theirs, expired, revoked; or its owner is disabled or logged in too long ago.
        """
        link = self.table.shared(link_id, reader.user)
        try:
            groups = self._users.groups(link.owner)
        except UnauthenticatedError:
            raise NotFoundError from None
        owner = self._permissions.value.access(link.owner, groups)
        access = reader.within(self.scope(link))
        both = replace(access, see=all_of([access.see, owner.see]), download=all_of([access.download, owner.download]))
        return link, both

    def scope(self, link: Link) -> Node:
        """Return the tree of what a link is about; raises ``NotFoundError`` where the index has none of it."""
        key = (link.level, link.resource)
        if key not in self._scopes:
            if len(self._scopes) >= _MOST_SCOPES:
                self._scopes.clear()
            self._scopes[key] = self._catalogue.within(cast(Level, link.level), link.resource, EVERYTHING)
        return self._scopes[key]

    def revoke_all(self, owner: str) -> None:
        """End all links of a user."""
        self.table.revoke_all(owner)
