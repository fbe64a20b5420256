"""A service's command line: each module of a package is a command named as the module.

A command's module (``check_permissions`` is ``check-permissions``) holds a docstring, whose first line is the
command's help, ``add_arguments(parser)`` and ``run(arguments) -> int``. Only the module of the command asked for is
imported.

Exit codes: 0 all done; 1 some of it failed, and what failed was listed; 2 usage or configuration is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Protocol, cast

from common.errors import ConfigurationError, ResearchPacsError

DONE, FAILED, USAGE = 0, 1, 2
_INTERRUPTED, _NOBODY_READS = 130, 141


class Command(Protocol):
    """A module of the package of commands."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; return the exit code."""


def command_names(package: ModuleType) -> list[str]:
    """Return the commands there are, sorted."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(package.__path__))


def load_command(package: ModuleType, name: str) -> Command:
    """Import a command's module."""
    return cast(Command, importlib.import_module(f"{package.__name__}.{name.replace('-', '_')}"))


def run_command(package: ModuleType, description: str, argv: Sequence[str]) -> int:
    """Run one command; return the exit code."""
    arguments = _parse(package, description, argv)
    try:
        code = load_command(package, arguments.command).run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # ``explain … | head``: what is still buffered would raise once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NOBODY_READS
    except ConfigurationError as exc:
        for problem in exc.problems:
            print(problem, file=sys.stderr)
        return USAGE
    except ResearchPacsError as exc:
        print(f"{exc.code}: {exc}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parse(package: ModuleType, description: str, argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments with the parser of the one command asked for; help lists them all."""
    program = package.__name__.removesuffix(".commands")
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    choices = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    names = command_names(package)
    for name in names if not argv or argv[0] not in names else [argv[0]]:
        command = load_command(package, name)
        doc = (command.__doc__ or "").strip()
        each = choices.add_parser(
            name, help=doc.split("\n")[0], description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.add_arguments(each)
    return parser.parse_args(argv)
