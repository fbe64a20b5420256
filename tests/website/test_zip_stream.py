from __future__ import annotations

import io
import tracemalloc
import zipfile

from website.zip_stream import stream_zip


def test_the_archive_can_be_read() -> None:
    content = b"".join(stream_zip([("a/1.dcm", [b"one", b"two"]), ("b.dcm", []), ("c.dcm", [b"x" * 300_000] * 3)]))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a/1.dcm", "b.dcm", "c.dcm"]
        assert archive.read("a/1.dcm") == b"onetwo"
        assert len(archive.read("c.dcm")) == 900_000


def test_nothing_is_one_empty_archive() -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(stream_zip([])))) as archive:
        assert archive.namelist() == []


def test_memory_does_not_grow_with_the_archive() -> None:
    piece = b"x" * 65536
    tracemalloc.start()
    try:
        total = sum(len(part) for part in stream_zip((f"{n}.dcm", [piece] * 64) for n in range(50)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 200 << 20
    assert peak < 4 << 20
