"""Our client against an Orthanc that compresses what it stores."""

from __future__ import annotations

import pytest

from common.orthanc import Orthanc
from tests.helpers.slices import make_slice

FILE = make_slice(rows=64)


@pytest.fixture(scope="module")
def compressing(make_orthanc):
    """Give an Orthanc that compresses, and no longer has in memory what was stored in it."""
    server = make_orthanc("research", options={"StorageCompression": True})
    stored = Orthanc(server.url, *server.auth).upload(FILE).id
    server.stop()
    server.restart()
    return Orthanc(server.url, *server.auth), stored


def test_a_file_is_what_was_stored_where_it_is_kept_compressed(compressing):
    orthanc, stored = compressing
    compressed = orthanc._request("GET", f"/instances/{stored}/attachments/dicom/compressed-data").data
    assert len(compressed) < len(FILE)
    assert orthanc.download(stored) == FILE


def test_what_is_small_compressed_only_is_not_small(compressing):
    orthanc, stored = compressing
    assert orthanc.download_small(stored, len(FILE)) == FILE
    assert orthanc.download_small(stored, len(FILE) - 1) is None
