"""The command line of the ingest side: ``python -m deidentifier COMMAND``.

Each module of :mod:`deidentifier.commands` is a command named as the module (``import_mappings`` is
``import-mappings``). It holds a docstring, whose first line is the command's help, ``add_arguments(parser)`` and
``run(arguments) -> int``. Only the module of the command asked for is imported.

Exit codes: 0 all done; 1 some of it failed, and what failed was listed; 2 usage or configuration is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from typing import Protocol, cast

from common.errors import ConfigurationError, ResearchPacsError
from deidentifier import commands

DONE, FAILED, USAGE = 0, 1, 2
_INTERRUPTED = 130


class Command(Protocol):
    """A module of :mod:`deidentifier.commands`."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; return the exit code."""


def command_names() -> list[str]:
    """Return the commands there are, sorted."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__))


def load_command(name: str) -> Command:
    """Import a command's module."""
    module = importlib.import_module(f"deidentifier.commands.{name.replace('-', '_')}")
    return cast(Command, module)


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments, command = _parse(sys.argv[1:] if argv is None else argv)
    try:
        return command.run(arguments)
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


def _parse(argv: list[str]) -> tuple[argparse.Namespace, Command]:
    """Parse the arguments with the parser of the one command asked for; help lists them all."""
    parser = argparse.ArgumentParser(prog="python -m deidentifier", description="De-identify DICOM instances by rules.")
    choices = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    names = command_names()
    for name in names if not argv or argv[0] not in names else [argv[0]]:
        command = load_command(name)
        doc = (command.__doc__ or "").strip()
        summary = doc.split("\n")[0]
        each = choices.add_parser(
            name, help=summary, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.add_arguments(each)
    arguments = parser.parse_args(argv)
    return arguments, load_command(arguments.command)


if __name__ == "__main__":
    sys.exit(main())
