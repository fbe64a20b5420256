"""The small parts: multiparts, what a client accepts, arrays taken apart, rows by the minute."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import RefusedError
from website.dicomweb.files import file_syntax
from website.dicomweb.media_types import NotAcceptableError, choose_syntax, read_accept
from website.dicomweb.members import Member
from website.dicomweb.metadata import MetadataCache, _without_bad_spacing
from website.dicomweb.minutes import MinuteAudit
from website.dicomweb.multipart import MultipartReader, MultipartWriter, Part

J2K = "1.2.840.10008.1.2.4.90"
EXPLICIT = "1.2.840.10008.1.2.1"


@given(st.lists(st.binary(max_size=400), max_size=4), st.integers(1, 50))
@settings(max_examples=100)
def test_a_multipart_is_read_as_it_was_written(bodies, size) -> None:
    writer = MultipartWriter("application/dicom")
    written = b"".join(writer.stream(Part("application/dicom", [body]) for body in bodies))
    boundary = writer.content_type.rsplit("boundary=", 1)[1]

    class Slow(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            return super().read(size)

    found = [(kind, b"".join(body)) for kind, body in MultipartReader(Slow(written), boundary).parts()]
    assert found == [("application/dicom", body) for body in bodies]


@pytest.mark.parametrize("body", [b"", b"--b", b"--b\r\nContent-Type: x", b"--b\r\n\r\nabc", b"nothing at all"])
def test_a_broken_multipart_is_refused(body) -> None:
    with pytest.raises(RefusedError):
        [list(part) for _, part in MultipartReader(io.BytesIO(body), "b").parts()]


@pytest.mark.parametrize(
    ("accept", "given_as"),
    [
        ("", J2K),
        ("*/*", J2K),
        ("multipart/related", J2K),
        ('multipart/related; type="*/*"', J2K),
        ('multipart/related; type="image/*"', J2K),
        ('multipart/related; type="image/jp2"', J2K),
        (f'multipart/related; type="image/jp2"; transfer-syntax={J2K}', J2K),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", J2K),
        ('multipart/related; type="application/octet-stream"', EXPLICIT),
        (f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT}', EXPLICIT),
        ('multipart/related; type="image/jls", multipart/related; type="application/octet-stream"', EXPLICIT),
        ('multipart/related; type="image/jls"', None),
        ("image/jp2", None),
        ("multipart/related; q=0", J2K),
    ],
)
def test_what_a_frame_is_given_as(accept, given_as) -> None:
    accepted = read_accept([accept] if accept else [])
    if given_as is None:
        with pytest.raises(NotAcceptableError):
            choose_syntax(accepted, J2K, "image/jp2")
    else:
        assert choose_syntax(accepted, J2K, "image/jp2") == given_as


def test_what_a_file_is_given_as() -> None:
    member = Member("i", "s", "1", "2", "3", J2K, 1, True, "1")
    assert file_syntax(read_accept(["multipart/related; type=application/dicom"]), member) == J2K
    explicit = f"multipart/related; type=application/dicom; transfer-syntax={EXPLICIT}"
    assert file_syntax(read_accept([explicit]), member) == EXPLICIT
    with pytest.raises(NotAcceptableError):
        file_syntax(read_accept(["application/json"]), member)


@pytest.mark.parametrize(
    ("spacing", "stays"),
    [
        ("[0.5, 0.5]", True),
        ("[0, 0]", False),
        ("[0.0,1]", False),
        ("[1,-1]", False),
        ("[10,20]", True),
        ("[null]", False),
    ],
)
def test_a_pixel_spacing_of_zero_is_dropped(spacing, stays) -> None:
    data = f'{{"00280030": {{"vr": "DS", "Value": {spacing}}}, "00280010": {{"vr": "US", "Value": [0]}}}}'.encode()
    found = json.loads(_without_bad_spacing(data))
    assert ("00280030" in found) is stays
    assert found["00280010"]["Value"] == [0]


def test_the_cache_of_metadata_is_bounded() -> None:
    cache = MetadataCache(limit=100)
    for number in range(10):
        cache.keep(str(number), [b"x" * 20])
    assert [cache.find(str(number)) is not None for number in range(10)] == [False] * 5 + [True] * 5
    cache.keep("large", [b"x" * 26])
    assert cache.find("large") is None


class Clock:
    now = 600.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def audits(portal):
    """Give two processes' worth of the audit by the minute, on one database."""
    clock, service = Clock(), portal.services
    made = [MinuteAudit(service.database, service.audit, clock=clock) for _ in range(2)]
    yield portal, clock, made
    for each in made:
        each.close()


def _rows(portal) -> list[tuple[str, str, dict | None]]:
    return [(row["phase"], row["objects"][0], row.get("counts")) for row in portal.rows()]


def _entry(number: int) -> dict[str, object]:
    return {"request": str(number), "user": "ct"}


def test_two_rows_for_a_minute_of_two_processes(audits) -> None:
    portal, clock, (first, second) = audits
    keys = [(each, each.begin("ct", "", "1.2", _entry(number))) for number, each in enumerate((first, second, first))]
    assert _rows(portal) == [("begin", "1.2", None)]
    for each, key in keys:
        each.end(key, {"requests": 1, "frames": 2})
    for each in (first, second):
        each.complete()
    assert len(_rows(portal)) == 1  # the minute is not over
    clock.now = 661
    first.complete()
    assert len(_rows(portal)) == 1  # the other process has not told
    second.complete()
    assert _rows(portal) == [("begin", "1.2", None), ("end", "1.2", {"requests": 3, "frames": 6})]


def test_each_user_credential_study_and_minute_has_its_own(audits) -> None:
    portal, clock, (first, _) = audits
    for user, credential, study in (("ct", "", "1.2"), ("ct", "", "1.3"), ("ct", "link", "1.2"), ("full", "", "1.2")):
        first.end(first.begin(user, credential, study, _entry(hash((user, credential, study)))), {"requests": 1})
    clock.now = 660
    first.end(first.begin("ct", "", "1.2", _entry(9)), {"requests": 1})
    assert Counter(phase for phase, _, _ in _rows(portal)) == {"begin": 5}
    first.close()
    assert Counter(phase for phase, _, _ in _rows(portal)) == {"begin": 5, "end": 5}


def test_a_long_answer_is_waited_for(audits) -> None:
    portal, clock, (first, _) = audits
    key = first.begin("ct", "", "1.2", _entry(1))
    clock.now = 900
    first.complete()
    assert len(_rows(portal)) == 1
    first.end(key, {"requests": 1, "bytes": 10})
    first.complete()
    assert _rows(portal)[-1] == ("end", "1.2", {"requests": 1, "bytes": 10})


def test_a_killed_process_is_swept_up(audits) -> None:
    portal, _, (first, second) = audits
    first.begin("ct", "", "1.2", _entry(1))
    with portal.database.owner.transaction() as cursor:
        cursor.execute("UPDATE research.dicomweb_minutes SET minute = now() - interval '7 hours'")
    second.sweep()
    assert portal.rows()[-1]["incomplete"] is True


def test_no_row_no_data(make_archive) -> None:
    """Where the first row cannot be committed, nothing is given."""
    from tests.helpers.research_store import make_instance

    archive = make_archive({"ct": make_instance(1, 1, 1, 1)})
    session = archive.session("ct")
    with archive.portal.database.owner.transaction() as cursor:
        cursor.execute("REVOKE INSERT ON research.dicomweb_minutes FROM rpacs_website")
    assert session.get(archive.root + archive.path("ct") + "/frames/1").status_code == 500
