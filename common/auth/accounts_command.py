"""The command that keeps an accounts file: add, remove, disable, enable, passwd, groups, list.

Both services have it, each for the file that its own variable names. A password is read from the terminal, or from
standard input where that is no terminal; it is never an argument, since arguments show in the list of processes.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path

from common.auth.accounts import Accounts
from common.command_line import DONE
from common.errors import ConfigurationError
from common.settings import words


def add_arguments(parser: argparse.ArgumentParser, variable: str) -> None:
    """Declare the arguments; the accounts file is the one that the environment variable names, or --file."""
    parser.add_argument("--file", default=os.environ.get(variable, ""), help=f"the accounts file ({variable})")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the accounts")
    for name, help in (
        ("add", "add an account"),
        ("remove", "remove an account"),
        ("disable", "refuse an account from now on"),
        ("enable", "let an account log in again"),
        ("passwd", "give an account another password"),
        ("groups", "give an account other groups"),
    ):
        action = actions.add_parser(name, help=help)
        action.add_argument("name", help="user name")
        if name in ("add", "groups"):
            action.add_argument("--groups", default="", help="groups, separated by commas")


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    if not arguments.file:
        raise ConfigurationError("name the accounts file: --file, or the variable that --help names")
    accounts = Accounts(Path(arguments.file))
    try:
        _ACTIONS[arguments.action](accounts, arguments)
    except ValueError as exc:
        raise ConfigurationError(str(exc)) from exc
    return DONE


def _read_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise ValueError("the two passwords differ")
    return password


def _list(accounts: Accounts, _arguments: argparse.Namespace) -> None:
    for name, account in sorted(accounts.read().items()):
        print(f"{name}\t{','.join(account.groups)}\t{'disabled' if account.disabled else 'enabled'}")


_ACTIONS: dict[str, Callable[[Accounts, argparse.Namespace], None]] = {
    "list": _list,
    "add": lambda accounts, given: accounts.add(given.name, _read_password(), words(given.groups)),
    "remove": lambda accounts, given: accounts.remove(given.name),
    "disable": lambda accounts, given: accounts.set_disabled(given.name, True),
    "enable": lambda accounts, given: accounts.set_disabled(given.name, False),
    "passwd": lambda accounts, given: accounts.set_password(given.name, _read_password()),
    "groups": lambda accounts, given: accounts.set_groups(given.name, words(given.groups)),
}
