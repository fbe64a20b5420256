"""New values derived from a secret key instead of chance: the same on every site that has the key.

HMAC-SHA-256 with a sub-key for each purpose, so that a UID tells nothing about a pseudonym made of the same original.
A stored value always wins over a derived one: a key that is changed acts on what is met for the first time from then
on, and each mapping keeps the identifier of the key that it was derived with.
"""

from __future__ import annotations

import hmac
import json


class PseudonymKey:
    """A key (``RPACS_PSEUDONYM_KEY``).

    Attributes
    ----------
    identifier
        Tells keys apart, and nothing about them: kept with each mapping.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._sub_keys: dict[str, bytes] = {}
        self.identifier = self._sub_key("identifier").hex()[:16]

    def derive(self, purpose: str, *parts: str) -> bytes:
        """Return 32 bytes for a purpose and some texts; which text ends where makes a difference."""
        message = json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()
        return hmac.digest(self._sub_key(purpose), message, "sha256")

    def _sub_key(self, purpose: str) -> bytes:
        found = self._sub_keys.get(purpose)
        if found is None:
            found = self._sub_keys[purpose] = hmac.digest(self._secret, f"research-pacs/{purpose}".encode(), "sha256")
        return found

    def __repr__(self) -> str:
        return f"PseudonymKey({self.identifier})"


def pseudonym_key(secret: str) -> PseudonymKey | None:
    """Return the key of a setting, None where it is not set."""
    return PseudonymKey(secret) if secret else None
