"""Public keys of token issuers: fetched with limits, cached with limits."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from common.errors import UnauthenticatedError

_MAX_BYTES = 256 * 1024
_TIMEOUT = (3, 5)


def fetch(url: str) -> bytes:
    """Fetch a key document: bounded in time and size, no redirects (the address is the trust).

    Raises
    ------
    UnauthenticatedError
        It cannot be had; what a missing key would have verified is not verified.
    """
    try:
        with requests.get(url, timeout=_TIMEOUT, allow_redirects=False, stream=True) as response:
            if response.status_code != 200:
                raise UnauthenticatedError("the key server has no such key")
            body: bytes = response.raw.read(_MAX_BYTES + 1, decode_content=True)
    except (requests.RequestException, OSError) as exc:
        raise UnauthenticatedError("the key server does not answer") from exc
    if len(body) > _MAX_BYTES:
        raise UnauthenticatedError("the key server answers too much")
    return body


@dataclass(frozen=True)
class _Entry:
    key: Any
    error: UnauthenticatedError | None
    expires: float


class KeyCache:
    """Keys by their ID; one fetch at a time, failures remembered shortly, and never more than ``size`` of each.

    Parameters
    ----------
    load
        Fetches one key by its ID; raises ``UnauthenticatedError``.
    lifetime, failure_lifetime
        Seconds that a key, or a failure, is remembered.
    clock
        Returns seconds that only grow.
    """

    def __init__(
        self,
        load: Callable[[str], Any],
        *,
        size: int = 32,
        lifetime: float = 3600,
        failure_lifetime: float = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._size, self._lifetime, self._failure_lifetime = size, lifetime, failure_lifetime
        self._clock = clock
        self._lock = threading.Lock()
        # Apart, so that a flood of unknown IDs does not push out the keys in use.
        self._keys: OrderedDict[str, _Entry] = OrderedDict()
        self._failures: OrderedDict[str, _Entry] = OrderedDict()

    def get(self, key_id: str) -> Any:
        """Return a key; raises ``UnauthenticatedError`` as ``load`` does."""
        entry = self._find(key_id)
        if entry is None:
            with self._lock:
                entry = self._find(key_id) or self._fetch(key_id)
        if entry.error is not None:
            raise UnauthenticatedError(str(entry.error))
        return entry.key

    def _find(self, key_id: str) -> _Entry | None:
        entry = self._keys.get(key_id) or self._failures.get(key_id)
        return entry if entry is not None and entry.expires > self._clock() else None

    def _fetch(self, key_id: str) -> _Entry:
        try:
            entry = _Entry(self._load(key_id), None, self._clock() + self._lifetime)
        except UnauthenticatedError as exc:
            entry = _Entry(None, exc, self._clock() + self._failure_lifetime)
        self._keys.pop(key_id, None)
        self._failures.pop(key_id, None)
        store = self._keys if entry.error is None else self._failures
        store[key_id] = entry
        while len(store) > self._size:
            store.popitem(last=False)
        return entry


def load_from_set(url: str, key_id: str) -> Mapping[str, Any]:
    """Fetch a JWK Set (RFC 7517) and return the RSA signing key with an ID."""
    try:
        keys = json.loads(fetch(url))["keys"]
        found = [key for key in keys if key.get("kid") == key_id and key.get("kty") == "RSA"]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise UnauthenticatedError("the key server's answer is no set of keys") from exc
    if len(found) != 1 or found[0].get("use", "sig") != "sig":
        raise UnauthenticatedError("the key server has no such key")
    key: Mapping[str, Any] = found[0]
    return key
