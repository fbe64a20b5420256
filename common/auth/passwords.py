"""Passwords: scrypt (RFC 7914) with the parameters stored beside the hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

# 32 MiB of memory and about 80 ms for a guess (OWASP Password Storage Cheat Sheet: N=2^15, r=8, p=3).
_N, _R, _P = 2**15, 8, 3
_MAX_MEMORY = 128 * 2**20
MIN_LENGTH = 12
MAX_LENGTH = 1024


def check_strength(password: str) -> str:
    """Return the password if it is acceptable (NIST SP 800-63B: length, no rules of composition).

    Raises
    ------
    ValueError
        It is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    return password


def hash_password(password: str) -> str:
    """Hash a password with a fresh salt: ``scrypt$N$r$p$salt$key``, the last two in base64."""
    salt = secrets.token_bytes(16)
    return "$".join(["scrypt", str(_N), str(_R), str(_P), _encode(salt), _encode(_derive(password, salt, _N, _R, _P))])


def verify_password(password: str, stored: str) -> bool:
    """Tell whether a password has this hash, in time that does not depend on where they differ."""
    try:
        scheme, n, r, p, salt, key = stored.split("$")
        expected = base64.b64decode(key, validate=True)
        derived = _derive(password[: MAX_LENGTH + 1], base64.b64decode(salt, validate=True), int(n), int(r), int(p))
    except ValueError:
        return False
    return scheme == "scrypt" and hmac.compare_digest(derived, expected)


# Verified against when there is no such account, so that the answer takes as long as for an account.
DUMMY_HASH = "$".join(["scrypt", str(_N), str(_R), str(_P), base64.b64encode(bytes(16)).decode(), "AAAA"])


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=32)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
