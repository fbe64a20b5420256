"""HTTP/1.1 with bodies in memory, by libcurl: what the pipeline calls half a dozen times for each instance.

A small request takes a quarter, a file half, of the processor time that urllib3 takes for it
(doc/decisions/0041-what-a-slice-costs.md).
"""

from __future__ import annotations

import math
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import pycurl

__all__ = ["Answer", "HttpClient", "HttpError", "TooLargeError"]

_NAMES = {
    pycurl.E_COULDNT_RESOLVE_HOST: "its name is not known",
    pycurl.E_COULDNT_CONNECT: "no connection",
    pycurl.E_OPERATION_TIMEDOUT: "timed out",
    pycurl.E_GOT_NOTHING: "connection closed",
    pycurl.E_RECV_ERROR: "connection lost",
    pycurl.E_SEND_ERROR: "connection lost",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "what comes is no HTTP",  # of HTTP as well
    pycurl.E_PARTIAL_FILE: "the answer is cut short",
    pycurl.E_PEER_FAILED_VERIFICATION: "its certificate is not trusted",
}
_BUFFER = 512 * 1024


class HttpError(Exception):
    """There is no whole answer; the message names no address."""


class TooLargeError(HttpError):
    """The answer has more bytes than were wanted; none of them were kept."""


@dataclass(frozen=True)
class Answer:
    """Status and body."""

    status: int
    data: bytes


class HttpClient:
    """A client of one server, safe to share between threads; connections are kept alive.

    Parameters
    ----------
    url
        Base URL, without a trailing slash.
    timeout
        Seconds to connect, and seconds without a byte in either direction.
    connections
        How many are kept while nobody uses them.
    """

    def __init__(
        self, url: str, username: str, password: str, *, timeout: tuple[float, float], connections: int
    ) -> None:
        self._url, self._credentials = url, (username, password)
        self._timeout, self._connections = timeout, connections
        self._free: list[pycurl.Curl] = []
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        largest: int = 0,
    ) -> Answer:
        """Send a request, wait for the whole answer.

        Parameters
        ----------
        largest
            Bytes that the answer may have; 0 for any number.

        Raises
        ------
        HttpError
            The server is away, hangs, or closes the connection before its answer ends.
        TooLargeError
            It would be larger than that.
        """
        curl, answer = self._take(), BytesIO()
        curl.setopt(pycurl.URL, self._url + path)
        curl.setopt(pycurl.WRITEFUNCTION, answer.write)
        curl.setopt(pycurl.MAXFILESIZE_LARGE, largest)
        curl.setopt(pycurl.HTTPHEADER, ["Expect:", *(f"{name}: {value}" for name, value in (headers or {}).items())])
        _set_method(curl, method, body)
        try:
            curl.perform()
        except pycurl.error as exc:
            curl.close()
            if exc.args[0] == pycurl.E_FILESIZE_EXCEEDED:
                raise TooLargeError("the answer is too large") from None
            # "from None": libcurl's messages hold addresses.
            raise HttpError(_NAMES.get(int(exc.args[0]), f"error {exc.args[0]} of libcurl")) from None
        status = int(curl.getinfo(pycurl.RESPONSE_CODE))
        self._give_back(curl)
        return Answer(status, answer.getvalue())

    def _take(self) -> pycurl.Curl:
        with self._lock:
            if self._free:
                return self._free.pop()
        return self._make()

    def _give_back(self, curl: pycurl.Curl) -> None:
        # It would keep the last body alive, which may be large.
        curl.setopt(pycurl.POSTFIELDS, b"")
        curl.setopt(pycurl.WRITEFUNCTION, None)
        with self._lock:
            if len(self._free) < self._connections:
                self._free.append(curl)
                return
        curl.close()

    def _make(self) -> pycurl.Curl:
        curl = pycurl.Curl()
        username, password = self._credentials
        options: dict[int, object] = {
            pycurl.NOSIGNAL: 1,  # threads
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.HTTPAUTH: pycurl.HTTPAUTH_BASIC,
            pycurl.USERNAME: username,
            pycurl.PASSWORD: password,
            pycurl.CONNECTTIMEOUT_MS: int(1000 * self._timeout[0]),
            pycurl.LOW_SPEED_LIMIT: 1,
            pycurl.LOW_SPEED_TIME: max(1, math.ceil(self._timeout[1])),
            pycurl.BUFFERSIZE: _BUFFER,
            pycurl.UPLOAD_BUFFERSIZE: _BUFFER,
            pycurl.TCP_KEEPALIVE: 1,
            pycurl.FOLLOWLOCATION: 0,
            pycurl.PROXY: "",  # as before: what the environment says about proxies is not meant for our peers
        }
        trusted = ssl.get_default_verify_paths()
        if trusted.cafile:
            options[pycurl.CAINFO] = trusted.cafile
        if trusted.capath:
            options[pycurl.CAPATH] = trusted.capath
        for option, value in options.items():
            curl.setopt(option, value)
        return curl


def _set_method(curl: pycurl.Curl, method: str, body: bytes | None) -> None:
    curl.unsetopt(pycurl.CUSTOMREQUEST)
    if body is None:
        curl.setopt(pycurl.HTTPGET, 1)
        if method != "GET":
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        return
    curl.setopt(pycurl.POST, 1)
    curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(body))
    curl.setopt(pycurl.POSTFIELDS, body)
    if method != "POST":
        curl.setopt(pycurl.CUSTOMREQUEST, method)
