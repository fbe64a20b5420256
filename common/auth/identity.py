"""Who somebody is, as a verified login said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Identity:
    """A user and their groups; ``method`` is the kind of login that verified them: ``local``, ``oidc``, ``alb``."""

    user: str
    groups: frozenset[str]
    method: str


class Directory(Protocol):
    """Where groups can be asked for at any time, without a login."""

    def groups(self, user: str) -> frozenset[str]:
        """Return a user's groups as they are now.

        Raises
        ------
        UnauthenticatedError
            There is no such user any more, or they are disabled there.
        """
