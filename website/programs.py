"""What programs ask for: under ``/api/`` and ``/dicom-web/``, where nothing in front of the portal logs anybody in.

A load balancer that logs users in answers programs with a redirect to a login page, which they cannot follow. So it
lets these paths through, and here a token of the portal's own counts, or its session cookie; headers in which a
balancer tells who somebody is are not believed, since on these paths anybody can send them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Request

API_KEY = "research_pacs.api"
"""In the WSGI environment: the request came in under ``/api/``."""
_API, _DICOM_WEB = "/api/", "/dicom-web/"

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


def mount_api(application: WsgiApp) -> WsgiApp:
    """Wrap an application so that ``/api/X`` is answered by the route ``/X``; links in answers stay under ``/api/``."""

    def mounted(wsgi: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = wsgi.get("PATH_INFO", "")
        if path.startswith(_API):
            wsgi[API_KEY] = True
            wsgi["SCRIPT_NAME"] = wsgi.get("SCRIPT_NAME", "") + _API.rstrip("/")
            wsgi["PATH_INFO"] = path[len(_API) - 1 :]
        return application(wsgi, start_response)

    return mounted


def under_api(request: Request) -> bool:
    """Tell whether a request came in under ``/api/``."""
    return API_KEY in request.environ


def is_for_programs(request: Request) -> bool:
    """Tell whether a request's path is one on which nothing in front of the portal logs anybody in."""
    return under_api(request) or request.path.startswith(_DICOM_WEB) or request.path == _DICOM_WEB.rstrip("/")
