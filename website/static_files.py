"""Files that come with the program: their addresses carry a hash of the content, so browsers may keep them for good."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

STATIC = ("static", "look.static", "bootstrap.static")
"""Endpoints of our files, of those that the console has too, and of Bootstrap's."""
_FOR_GOOD = "public, max-age=31536000, immutable"


def install_static_files(app: Flask) -> None:
    """Add the hash to every address that ``url_for`` makes, and tell browsers to keep what was asked for by it."""
    version = _versions(app)

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint in STATIC and "filename" in values:
            values["v"] = version(endpoint, values["filename"])

    @app.after_request
    def let_keep(response: Response) -> Response:
        if request.endpoint in STATIC and response.status_code in (200, 304):
            asked = version(request.endpoint, (request.view_args or {}).get("filename", ""))
            response.headers["Cache-Control"] = _FOR_GOOD if request.args.get("v") == asked else "no-cache"
        return response


def _versions(app: Flask) -> Callable[[str, str], str]:
    @cache
    def version(endpoint: str, filename: str) -> str:
        holder = app if endpoint == "static" else app.blueprints[endpoint.removesuffix(".static")]
        return hashlib.sha256(Path(holder.static_folder or "", filename).read_bytes()).hexdigest()[:12]

    return version
