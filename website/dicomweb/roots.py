"""Other roots of DICOMweb: a viewer's link, whose token is in the address, and what was shared with a user.

Both are taken out of the path in front of the application. So there is one set of routes, and the token of a link
reaches no route, log, audit row or error page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

LINK_KEY, SHARE_KEY, PREFIX_KEY = "research_pacs.link", "research_pacs.share", "research_pacs.dicomweb_prefix"
"""In the WSGI environment: a link's token, a share's identifier, and what stands between the root and the rest."""
_LINK = re.compile(r"/dicom-web/links/([^/]{1,200})(/.*)?")
_SHARE = re.compile(r"/dicom-web/shares/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/.*)?")
_ADDRESSES = ("RAW_URI", "REQUEST_URI")

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


def strip_roots(application: WsgiApp) -> WsgiApp:
    """Wrap an application so that it sees ``/dicom-web/…``, and the token or the share in the environment."""

    def strip(wsgi: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        for key, pattern, name in ((LINK_KEY, _LINK, "links"), (SHARE_KEY, _SHARE, "shares")):
            found = pattern.fullmatch(wsgi.get("PATH_INFO", ""))
            if found:
                wsgi[key], wsgi[PREFIX_KEY] = found[1], f"/{name}/{found[1]}"
                wsgi["PATH_INFO"] = f"/dicom-web{found[2] or ''}"
                for address in _ADDRESSES:
                    wsgi.pop(address, None)
        return application(wsgi, start_response)

    return strip
