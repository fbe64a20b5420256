"""The command line of the ingest side: ``python -m deidentifier COMMAND``."""

from __future__ import annotations

import sys

from common.command_line import run_command
from deidentifier import commands


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    return run_command(commands, "De-identify DICOM instances by rules.", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
