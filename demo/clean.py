"""End what a demo left behind: ``make demo-clean``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from common.errors import ConfigurationError
from demo.leftovers import sole_demo


def main() -> int:
    """End the leftovers of the demo's folder, unless the demo still runs."""
    try:
        with sole_demo(Path(os.environ.get("DEMO_FOLDER", ".demo"))):
            return 0
    except ConfigurationError as exc:
        print(exc, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
