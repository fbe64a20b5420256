"""Patterns over requests to Orthanc: ``VERB /path``, where ``*`` stops at a slash and ``**`` does not."""

from __future__ import annotations

import re
from dataclasses import dataclass

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


@dataclass(frozen=True)
class PathPattern:
    """One pattern; ``text`` is as written."""

    text: str
    method: str
    expression: re.Pattern[str]

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is meant; ``path`` is normalised. HEAD tells what GET would, so it counts as GET."""
        asked = "GET" if method.upper() == "HEAD" else method.upper()
        return self.method in ("ANY", asked) and self.expression.fullmatch(path) is not None


def parse_pattern(text: str) -> PathPattern:
    """Parse one pattern.

    Raises
    ------
    ValueError
        It is not ``VERB PATTERN``.
    """
    method, _, path = text.strip().partition(" ")
    path = path.strip()
    path = path.rstrip("/") or path[:1]  # as in the paths that are matched
    if method.upper() not in (*METHODS, "ANY"):
        raise ValueError(f"expected a method first: one of {', '.join(METHODS)} or ANY")
    if not path.startswith(("/", "*")):
        raise ValueError("expected a path that begins with / (or **) after the method")
    parts = (
        ".*" if part == "**" else "[^/]*" if part == "*" else re.escape(part) for part in re.split(r"(\*\*|\*)", path)
    )
    return PathPattern(text.strip(), method.upper(), re.compile("".join(parts), re.IGNORECASE | re.DOTALL))


def normalise_path(path: str) -> str:
    """Return a percent-decoded path with single slashes, without dot segments (RFC 3986, 5.2.4) or a slash at the end.

    Orthanc reads ``/instances/ID/file/`` as ``/instances/ID/file``, so a rule for the one must hold for the other.
    What this returns is both matched and forwarded, so that Orthanc cannot read another path than we did.

    Raises
    ------
    ValueError
        It holds what no path of Orthanc does: control characters, backslashes, bytes that are not UTF-8.
    """
    if re.search(r"[\x00-\x1f\x7f\\\ufffd\ud800-\udfff]", path):
        raise ValueError("the path holds a character that no path of Orthanc has")
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)
