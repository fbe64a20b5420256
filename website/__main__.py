"""The command line of the research side: ``python -m website COMMAND``."""

from __future__ import annotations

import sys

from common.command_line import run_command
from website import commands


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    return run_command(commands, "The portal of Research PACS and its workers.", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
