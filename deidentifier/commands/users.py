"""Local accounts of the console: add, remove, disable, enable, passwd, groups, list.

The accounts file is named by --file or RPACS_CONSOLE_ACCOUNTS_FILE. A password is read from the terminal, or from
standard input where that is no terminal; it is never an argument, since arguments show in the list of processes.
"""

from __future__ import annotations

import argparse

from common.auth import accounts_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    accounts_command.add_arguments(parser, "RPACS_CONSOLE_ACCOUNTS_FILE")


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    return accounts_command.run(arguments)
