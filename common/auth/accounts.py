"""Local accounts: a file with names, groups and scrypt hashes, for a demo or a small site.

::

    users:
      alice:
        groups: [admin]
        password: scrypt$32768$8$3$…
        disabled: false

The file is read again when it changes, so that a new password, group or a disabled account holds at once. Where there
is no file there are no accounts: a new installation starts, and nobody can log in before the first account is added.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml

from common.auth import passwords
from common.auth.identity import Identity
from common.errors import ConfigurationError, NotFoundError, UnauthenticatedError

_log = logging.getLogger(__name__)
_NO_FILE = (0, 0)
_NAME = re.compile(r"[\w.@+-]{1,128}")


@dataclass(frozen=True)
class Account:
    """One line of the file, without the name."""

    groups: tuple[str, ...]
    password: str
    disabled: bool = False


class Accounts:
    """The accounts file.

    Raises
    ------
    ConfigurationError
        From every method: the file is unreadable, or not of this shape.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._accounts: Mapping[str, Account] = {}

    def read(self) -> Mapping[str, Account]:
        """Return all accounts by name."""
        with self._lock:
            try:
                status = self._path.stat()
                if self._stamp != (status.st_mtime_ns, status.st_ino):
                    self._accounts = _parse(self._path.read_text(), self._path.name)
                    self._stamp = (status.st_mtime_ns, status.st_ino)
            except FileNotFoundError:
                if self._stamp != _NO_FILE:
                    _log.warning("there is no accounts file: nobody can log in before the command users add makes it")
                self._accounts, self._stamp = {}, _NO_FILE
            except OSError as exc:
                raise ConfigurationError(f"the accounts file cannot be read: {exc.strerror}") from exc
            return self._accounts

    def authenticate(self, name: str, password: str) -> Identity:
        """Verify a password.

        Raises
        ------
        UnauthenticatedError
            Unknown, disabled, or a wrong password; which of them is not told, nor shown by the time it takes.
        """
        account = self.read().get(name)
        matches = passwords.verify_password(password, account.password if account else passwords.DUMMY_HASH)
        if account is None or account.disabled or not matches:
            raise UnauthenticatedError("user name or password is wrong")
        return Identity(name, frozenset(account.groups), "local")

    def groups(self, user: str) -> frozenset[str]:
        """Return an account's groups (the ``Directory`` of local accounts)."""
        account = self.read().get(user)
        if account is None or account.disabled:
            raise UnauthenticatedError("the account is disabled")
        return frozenset(account.groups)

    def add(self, name: str, password: str, groups: Iterable[str] = ()) -> None:
        """Add an account.

        Raises
        ------
        ValueError
            The name is taken or malformed, or the password is too short.
        """
        if not _NAME.fullmatch(name):
            raise ValueError("a user name has letters, digits and . _ @ + - only, at most 128")
        account = Account(tuple(sorted(groups)), passwords.hash_password(passwords.check_strength(password)))

        def insert(accounts: dict[str, Account]) -> None:
            if name in accounts:
                raise ValueError(f"there is an account {name} already")
            accounts[name] = account

        self._edit(insert)

    def remove(self, name: str) -> None:
        """Remove an account."""
        self._edit(lambda accounts: _drop(accounts, name))

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password."""
        hashed = passwords.hash_password(passwords.check_strength(password))
        self._change(name, lambda account: replace(account, password=hashed))

    def set_groups(self, name: str, groups: Iterable[str]) -> None:
        """Give an account other groups."""
        self._change(name, lambda account: replace(account, groups=tuple(sorted(groups))))

    def set_disabled(self, name: str, disabled: bool) -> None:
        """Disable an account, or enable it again."""
        self._change(name, lambda account: replace(account, disabled=disabled))

    def _change(self, name: str, change: Callable[[Account], Account]) -> None:
        def apply(accounts: dict[str, Account]) -> None:
            accounts[name] = change(_find(accounts, name))

        self._edit(apply)

    def _edit(self, edit: Callable[[dict[str, Account]], None]) -> None:
        """Rewrite the file as a whole, readable by its owner only; two commands at once do not lose an edit."""
        descriptor = os.open(f"{self._path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        with os.fdopen(descriptor) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            accounts = dict(self.read())
            edit(accounts)
            _write(self._path, accounts)


def _find(accounts: Mapping[str, Account], name: str) -> Account:
    if name not in accounts:
        raise NotFoundError(f"there is no account {name}")
    return accounts[name]


def _drop(accounts: dict[str, Account], name: str) -> None:
    _find(accounts, name)
    del accounts[name]


def _write(path: Path, accounts: Mapping[str, Account]) -> None:
    plain = {name: {**asdict(account), "groups": list(account.groups)} for name, account in sorted(accounts.items())}
    temporary = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as stream:
        yaml.safe_dump({"users": plain}, stream, sort_keys=False)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _parse(text: str, file: str) -> dict[str, Account]:
    try:
        users = (yaml.safe_load(text) or {}).get("users") or {}
        return {str(name): _account(value) for name, value in users.items()}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as exc:
        # Without the cause's message: it quotes the file, and the file holds hashes.
        raise ConfigurationError(f"{file} is no accounts file") from exc


def _account(value: Mapping[str, object]) -> Account:
    groups, password, disabled = value["groups"], value["password"], value.get("disabled", False)
    if not isinstance(groups, list) or not isinstance(password, str) or not isinstance(disabled, bool):
        raise ValueError("wrong types")
    if set(value) - {"groups", "password", "disabled"}:
        raise ValueError("unknown key")
    return Account(tuple(str(group) for group in groups), password, disabled)
