"""``Transcode``."""

from __future__ import annotations

from common.yaml_kinds import Text, did_you_mean


def parse_transfer_syntax(text: str) -> str:
    """Parse the UID of a transfer syntax that we can write.

    Raises
    ------
    ValueError
        Names those that we can.
    """
    from common.transcoding import TARGETS  # brings the codecs along

    if text in TARGETS:
        return text
    hint = did_you_mean(text, TARGETS)
    raise ValueError(f"{text}: not a transfer syntax that can be written; these can: {', '.join(TARGETS)}{hint}")


TRANSFER_SYNTAX = Text(parse_transfer_syntax, expected="a transfer syntax UID")
