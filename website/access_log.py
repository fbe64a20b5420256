"""The access log: a JSON line for each request, to a file or to standard output, with the exclusions of 1.0."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
from collections.abc import Mapping
from typing import Any

from website.path_patterns import normalise_path
from website.settings import WebsiteSettings


class AccessLog:
    """Writes entries whose path is not excluded.

    Only this file knows exclusions; the audit table holds every access. Paths are compared after normalisation,
    without ``/orthanc``, so that nothing can be hidden behind a spelling.
    """

    def __init__(self, settings: WebsiteSettings) -> None:
        self._prefixes = tuple(prefix.lower() for prefix in settings.log_excluded_prefixes)
        self._suffixes = tuple(suffix.lower() for suffix in settings.log_excluded_suffixes)
        # A logger of its own object, outside the tree: levels and handlers of the process's log do not touch it.
        self._logger = logging.Logger("access", logging.INFO)
        handler: logging.Handler
        if settings.log_file == "-":
            handler = logging.StreamHandler(sys.stdout)
        else:
            handler = logging.handlers.WatchedFileHandler(settings.log_file)  # survives log rotation
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._logger.addHandler(handler)
        self._handler = handler

    def close(self) -> None:
        """Close the file."""
        if isinstance(self._handler, logging.FileHandler):
            self._handler.close()

    def write(self, entry: Mapping[str, Any]) -> None:
        """Write one line, unless its path is excluded."""
        if not self.is_excluded(str(entry["path"])):
            self._logger.info(json.dumps(entry, default=list))

    def is_excluded(self, path: str) -> bool:
        """Tell whether requests for a percent-decoded path stay out of the file."""
        try:
            normalised = normalise_path(path).lower()
        except ValueError:
            return False
        if normalised == "/orthanc" or normalised.startswith("/orthanc/"):
            normalised = normalised.removeprefix("/orthanc") or "/"
        return normalised.startswith(self._prefixes) or normalised.endswith(self._suffixes)
