"""Ask a process of ours whether it lives: the health check of its container.

``python -m common.healthcheck URL`` ends with 0 when the address answers with success, else with 1 and one line.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

_SECONDS = 8.0


def main(url: str) -> int:
    """Ask once; return the exit code."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS):  # noqa: S310 - the image's own constant
            return 0
    except (urllib.error.URLError, OSError) as exc:
        print(f"unhealthy: {getattr(exc, 'code', type(exc).__name__)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
