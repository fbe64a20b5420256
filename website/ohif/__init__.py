"""OHIF, the viewer under ``/viewer/``: fetched from npm at a pinned version, prepared once, served from a folder."""

from __future__ import annotations

from pathlib import Path

MOUNT = "/viewer/"
"""Where the portal serves it; the prepared files hold this path."""

DEFAULT_FOLDER = Path(__file__).with_name("dist")
"""Where :mod:`website.ohif.build` puts it, and where the portal looks unless it is told another folder."""
