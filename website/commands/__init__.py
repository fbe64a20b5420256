"""Commands of ``python -m website``; see :mod:`common.command_line`."""
