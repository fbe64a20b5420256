"""Requests to the research Orthanc, handed on: what is asked, what is sent, what comes back.

Orthanc trusts whoever reaches it, so everything that reaches it is rebuilt here from what was checked: the method,
the normalised path, the parsed arguments, and a list of headers. Orthanc honours a method override as an argument
(``_method``) and as a header; neither passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import urllib3

from common.errors import OrthancUnavailableError, RefusedError

# Never X-HTTP-Method-Override, X-Forwarded-*, Authorization, Cookie: what is not listed is not sent.
_REQUEST_HEADERS = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Content-Type",
    "Content-Encoding",
    "Expect",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "Range",
    "User-Agent",
)
_RESPONSE_HEADERS = (
    "Content-Type",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "Allow",
    "ETag",
    "Last-Modified",
    "Retry-After",
)
# Orthanc's own pages, part of the program; all else may be what somebody stored.
_EXPLORER = re.compile(r"/app(/|$)")
_EXPLORER_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)
_STORED_POLICY = "sandbox; default-src 'none'; img-src 'self'; style-src 'none'"
# What a browser may show in place; anything else is saved, not shown.
_SHOWN = re.compile(r"(application/(dicom\+)?json|text/plain|image/(png|jpeg))(;.*)?", re.IGNORECASE)
_CHUNK = 256 * 1024


@dataclass(frozen=True)
class Forwarded:
    """A request as it goes to Orthanc; ``path`` is the normalised path that was matched."""

    method: str
    path: str
    arguments: str
    headers: Mapping[str, str]


def rebuild_arguments(query: str) -> str:
    """Return a query string as Orthanc will read it.

    Raises
    ------
    RefusedError
        It overrides the method.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=200, errors="strict")
    except ValueError as exc:
        raise RefusedError("the arguments cannot be read") from exc
    if any("_method" in name.lower() or "\0" in name + value for name, value in pairs):
        raise RefusedError("an argument overrides the method")
    return urlencode(pairs)


def choose_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those of a request's headers that Orthanc gets."""
    given = {name.lower(): value for name, value in headers.items()}
    return {name: given[name.lower()] for name in _REQUEST_HEADERS if name.lower() in given}


def answer_headers(path: str, headers: Mapping[str, str], *, orthanc_url: str, mount: str) -> list[tuple[str, str]]:
    """Return the headers that the browser gets for Orthanc's answer to a path."""
    kept = [(name, headers[name]) for name in _RESPONSE_HEADERS if name in headers]
    kept.append(("X-Content-Type-Options", "nosniff"))
    if "Location" in headers:
        kept.append(("Location", rewrite_location(headers["Location"], orthanc_url, mount)))
    if _EXPLORER.match(path):
        return [*kept, ("Content-Security-Policy", _EXPLORER_POLICY), ("Cache-Control", "private, max-age=3600")]
    kept.append(("Content-Security-Policy", _STORED_POLICY))
    if not _SHOWN.fullmatch(headers.get("Content-Type", "text/plain")):
        kept.append(("Content-Disposition", _attachment(headers.get("Content-Disposition", ""))))
    return kept


def rewrite_location(location: str, orthanc_url: str, mount: str) -> str:
    """Return a redirect's target under our mount: never Orthanc's own address, never another site."""
    parts = urlsplit(location)
    if parts.netloc and parts.netloc != urlsplit(orthanc_url).netloc:
        return mount + "/"
    tail = parts.path + (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    return mount + "/" + tail.lstrip("/") if parts.netloc or tail.startswith("/") else tail


def _attachment(disposition: str) -> str:
    found = re.search(r'filename="?([\w. -]{1,100})"?', disposition)
    return f'attachment; filename="{found.group(1)}"' if found else "attachment"


class OrthancProxy:
    """Sends requests on to one Orthanc and streams both bodies."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url = url
        self._pool = urllib3.connection_from_url(
            url, maxsize=16, timeout=urllib3.Timeout(connect=5, read=300), retries=False
        )
        self._credentials = urllib3.make_headers(basic_auth=f"{username}:{password}")

    def send(self, forwarded: Forwarded, body: Any, length: int | None) -> urllib3.BaseHTTPResponse:
        """Send a request; the answer's body is still to be read.

        Parameters
        ----------
        body
            A file object, or None.
        length
            Its length in bytes, so that it needs no chunks (Orthanc of Debian 12 takes none).

        Raises
        ------
        OrthancUnavailableError
            Orthanc does not answer.
        """
        target = quote(forwarded.path, safe="/") + (f"?{forwarded.arguments}" if forwarded.arguments else "")
        headers = {**forwarded.headers, **self._credentials}
        if length:
            headers["Content-Length"] = str(length)
        try:
            return self._pool.urlopen(
                forwarded.method,
                target,
                body=body if length else None,
                headers=headers,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise OrthancUnavailableError from exc

    def headers(self, path: str, answer: urllib3.BaseHTTPResponse, mount: str) -> list[tuple[str, str]]:
        """Return the headers for the browser."""
        return answer_headers(path, answer.headers, orthanc_url=self._url, mount=mount)


def stream(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield an answer's body as it comes; gives the connection back, or closes it when the client went away."""
    try:
        yield from _chunks(answer.stream(_CHUNK, decode_content=False))
        answer.release_conn()
    finally:
        answer.close()


def _chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except urllib3.exceptions.HTTPError as exc:
        raise OrthancUnavailableError from exc  # the server breaks the answer off: the client sees it is short
