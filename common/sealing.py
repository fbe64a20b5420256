"""Sealing what must not stand in a database in clear: AES-GCM, each piece bound to its place.

The key is derived from a random text of the environment and a purpose, so that one text can serve several purposes.
The place is associated data: pieces cannot be exchanged in the database.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.errors import RefusedError

_NONCE = 12


class Seal:
    """Encrypts and decrypts pieces.

    Parameters
    ----------
    purpose
        What is sealed: ``submission``.
    key
        The random text.
    variable
        Name of the environment variable that holds it, for messages.
    """

    def __init__(self, purpose: str, key: str, variable: str) -> None:
        self._cipher = AESGCM(hashlib.sha256(purpose.encode() + b"\0" + key.encode()).digest())
        self._purpose, self._variable = purpose, variable

    def seal(self, data: bytes, place: str) -> bytes:
        """Encrypt a piece for its place."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, data, place.encode())

    def open(self, sealed: bytes | memoryview, place: str) -> bytes:
        """Decrypt a piece.

        Raises
        ------
        RefusedError
            It was sealed with another key, for another place, or was changed.
        """
        sealed = bytes(sealed)
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
        except InvalidTag as exc:
            raise RefusedError(f"the {self._purpose} cannot be decrypted: another {self._variable}?") from exc
