"""Which hosts an export may talk to: Amazon's, and the S3 servers that the administrator lists. No others, ever.

Users choose bucket and keys, never a host: an endpoint must equal one of the list. Each *connection* then resolves the
host's name, looks at every address, and connects to one that was looked at, so that a name cannot mean one address
when it is checked and another when it is used (DNS rebinding). Redirects are not followed, proxies of the environment
are not asked.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import botocore.awsrequest

from common.errors import RefusedError

AMAZON = ""
"""The endpoint of Amazon S3: the region says which host."""

_AMAZON_HOST = re.compile(r"([a-z0-9-]+\.)+amazonaws\.com(\.cn)?")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d{1,2}")
_PORTS = {"http": 80, "https": 443}
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Services that hand out credentials to whoever asks on the same machine or network.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"))
)
_EMBEDDING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")))


def check_region(region: str) -> str:
    """Return the name of a region: it becomes part of a host's name.

    Raises
    ------
    RefusedError
        It is none.
    """
    if not _REGION.fullmatch(region):
        raise RefusedError("the region must be a name like eu-central-1")
    return region


def normalise(endpoint: str) -> str:
    """Return an endpoint as ``scheme://host:port``, lower case.

    Raises
    ------
    RefusedError
        It is no plain ``http(s)`` origin: user, path, query or fragment are refused.
    """
    try:
        parts = urlsplit(endpoint.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise RefusedError("an endpoint must be https://host or https://host:port") from None
    extra = (
        parts.username or parts.password or parts.path.strip("/") or parts.query or parts.fragment or "@" in endpoint
    )
    if parts.scheme not in _PORTS or extra or not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host):
        raise RefusedError("an endpoint must be https://host or https://host:port")
    shown = f"[{host}]" if ":" in host else host.rstrip(".")
    return f"{parts.scheme}://{shown}:{port or _PORTS[parts.scheme]}"


class Endpoints:
    """The S3 servers that exports may use.

    Parameters
    ----------
    allowed
        ``RPACS_EXPORT_ENDPOINTS``: origins beside Amazon's.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.allowed = tuple(dict.fromkeys(map(normalise, allowed)))

    def check(self, endpoint: str) -> str:
        """Return the endpoint as the list has it; empty for Amazon's.

        Raises
        ------
        RefusedError
            It is not in the list.
        """
        if not endpoint:
            return AMAZON
        if (normal := normalise(endpoint)) not in self.allowed:
            raise RefusedError("this endpoint is not among those that the administrator allows")
        return normal


class Guard:
    """Decides for one client which host it may connect to, and to which address of it.

    Parameters
    ----------
    endpoint
        A normalised origin that somebody entitled to has named; empty for Amazon's hosts.
    """

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._host, self._port = parts.hostname or "", parts.port or 443

    def resolve(self, host: str, port: int) -> str:
        """Return the address to connect to.

        Raises
        ------
        RefusedError
            The host is not the endpoint's, or one of its addresses is not to be reached.
        """
        host = host.strip("[]").rstrip(".").lower()
        if port != self._port or not (host == self._host if self._host else _AMAZON_HOST.fullmatch(host)):
            raise RefusedError("the host is not the endpoint's")
        literal = _literal(host)
        if literal is not None:  # named as an address by the administrator, and therefore meant
            if literal in _METADATA:
                raise RefusedError("a metadata service is no endpoint")
            return str(literal)
        found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        for address in found:
            refuse_address(ipaddress.ip_address(str(address).split("%")[0]), local=self._host == "localhost")
        return str(found[0])


def refuse_address(address: _Address, *, local: bool = False) -> None:
    """Raise ``RefusedError`` for what no name may resolve to; private networks are where S3 servers of hospitals are.

    Parameters
    ----------
    local
        This machine itself is meant.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif not address.is_loopback and any(address in network for network in _EMBEDDING):
            raise RefusedError("the name resolves to an address that embeds another")
    refused = address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified
    if refused or (address.is_loopback and not local) or (address.is_reserved and not address.is_loopback):
        raise RefusedError("the name resolves to an address that is not to be reached")


def _literal(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


_PLAIN: Any = botocore.awsrequest.AWSHTTPConnection
_SECURE: Any = botocore.awsrequest.AWSHTTPSConnection


class _Pinned:
    """A connection that goes to the address looked at; the name stays that of the Host header and the certificate."""

    resolve: Callable[[str, int], str]
    host: str
    port: int
    _dns_host: str

    def _new_conn(self) -> Any:
        name = self._dns_host
        self._dns_host = self.resolve(name, self.port)
        try:
            return super()._new_conn()  # type: ignore[misc]  # urllib3's connection beside it
        finally:
            self._dns_host = name


def guard_client(client: Any, guard: Guard) -> None:
    """Make a client of boto3 connect to nothing but what the guard allows."""

    class Connection(_Pinned, _PLAIN):  # type: ignore[misc]
        resolve = staticmethod(guard.resolve)

    class SecureConnection(_Pinned, _SECURE):  # type: ignore[misc]
        resolve = staticmethod(guard.resolve)

    class Pool(botocore.awsrequest.AWSHTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(botocore.awsrequest.AWSHTTPSConnectionPool):
        ConnectionCls = SecureConnection

    session: Any = client._endpoint.http_session  # botocore has no other place to hand connections in
    session._manager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}


def refusal_of_guard(error: BaseException) -> RefusedError | None:
    """Return the refusal of a guard behind an error: botocore wraps what a connection raises."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, RefusedError):
            return inner
        inner = inner.__cause__ or inner.__context__
    return None
