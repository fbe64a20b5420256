"""What answers of DICOMweb have in common: their root, compression, validators."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from flask import Response, request

from common.errors import QueryError
from website.context import services
from website.dicomweb.roots import PREFIX_KEY

DICOM_JSON = "application/dicom+json"
_GZIP = 16 + zlib.MAX_WBITS
_SMALL = 1000
_VARY = "Accept-Encoding, Authorization, Cookie"


def current_root() -> str:
    """Return the address of DICOMweb as this client knows it: ours, never Orthanc's; raises as ``current_base``."""
    return f"{current_base()}/dicom-web{request.environ.get(PREFIX_KEY, '')}"


def current_base() -> str:
    """Return scheme and host of the portal as this client knows it.

    Raises
    ------
    QueryError
        The client names no host that could stand in an answer.
    """
    base = services().settings.public_url or request.host_url.rstrip("/")
    if not re.fullmatch(r"https?://[\w.\-\[\]:]+", base):
        raise QueryError("the request names no host")
    return base


def json_answer(body: bytes) -> Response:
    """Make an answer of DICOM JSON."""
    return compressed(Response(mimetype=DICOM_JSON), [body] if len(body) > _SMALL else None, body)


def compressed(response: Response, chunks: Iterable[bytes] | None, body: bytes = b"") -> Response:
    """Let an answer send some chunks, gzipped where the client takes that; without chunks, a body as it is."""
    response.headers["Vary"] = _VARY
    if chunks is None:
        response.set_data(body)
        return response
    if request.accept_encodings.quality("gzip") > 0:
        response.headers["Content-Encoding"] = "gzip"
        chunks = _gzip(chunks)
    response.response = chunks
    return response


def gzipped(response: Response, packed: bytes) -> Response:
    """Let an answer send a gzipped body, unpacked where the client takes no gzip."""
    response.headers["Vary"] = _VARY
    if request.accept_encodings.quality("gzip") > 0:
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(packed)
    else:
        response.set_data(gzip.decompress(packed))
    return response


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # The lowest level: JSON shrinks to a twentieth by it, and the next ones take longer than the rest of the answer.
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()


def started(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first chunk now, so that what is missing is an error and no broken answer."""
    first = next(chunks, None)
    return iter(()) if first is None else chain([first], chunks)


def not_modified(response: Response, *versions: str) -> bool:
    """Set the validator of an answer; returns True, and makes it a 304, where the client has just that.

    The client has to ask each time: a permission that is withdrawn takes effect at once.
    """
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(f"{zlib.crc32(' '.join(versions).encode()):08x}-{versions[0]}", weak=True)
    tag, _ = response.get_etag()
    if tag is None or not request.if_none_match.contains_weak(tag):
        return False
    response.status_code = 304
    return True
