"""What goes wrong on the way: each outcome is the documented one, and nothing is silently missing."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest

from common.orthanc import Orthanc
from demo.servers.process import wait_until
from tests.helpers.faulty_proxy import faulty_proxy
from tests.helpers.slices import make_slice
from tests.website.exports.test_job import manifest_of, verify
from website.exports import manifest
from website.exports.job import ExportJob

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
FILES = ("/file", "/compressed-data")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("website.exports.transfer._FIRST", 0.02)
    monkeypatch.setattr("website.exports.transfer._LONGEST", 0.1)


@pytest.fixture
def proxied(desk, s3):
    """Give a desk behind a proxy with 60 slices stored, and the proxy."""
    desk.store(*(make_slice(number, series=number % 3) for number in range(60)))
    with faulty_proxy(s3.server.url, signed=True) as proxy:
        yield desk.with_endpoint(proxy.url), proxy


def dicom(method, path):
    return method == "PUT" and path.endswith(".dcm")


def every(number, answer):
    """Return a fault of every n-th file."""
    count, lock = [0], threading.Lock()

    def fault(method, path):
        if not dicom(method, path):
            return None
        with lock:
            count[0] += 1
            return answer() if count[0] % number == 0 else None

    return fault


def reset():
    raise ConnectionResetError


@pytest.mark.parametrize("answer", [lambda: (503, SLOW_DOWN), lambda: (500, b""), reset], ids=["503", "500", "reset"])
def test_what_is_transient_is_tried_again(proxied, answer):
    desk, proxy = proxied
    proxy.fault = every(4, answer)
    done = desk.run(desk.ask())
    assert (done.state, done.sent, done.failed) == ("done", 60, 0)
    verify(desk.objects())


def test_bytes_that_are_damaged_on_the_way_are_noticed_by_the_service(proxied):
    desk, proxy = proxied
    damaged = []

    def change(method, path, body):
        if dicom(method, path) and len(damaged) < 5 and path not in damaged:
            damaged.append(path)
            return body[:-1] + bytes([body[-1] ^ 1])
        return body

    proxy.change = change
    done = desk.run(desk.ask())
    assert (done.state, done.failed, len(damaged)) == ("done", 0, 5)
    verify(desk.objects())


def test_a_bucket_that_stops_taking_anything_pauses_the_job(proxied):
    desk, proxy = proxied
    sent = []
    proxy.after = lambda method, path, status: sent.append(path) if dicom(method, path) and status == 200 else None
    proxy.fault = lambda method, path: (403, DENIED) if method == "PUT" and len(sent) >= 30 else None
    identifier = desk.ask()
    paused = desk.run(identifier)
    assert paused.state == "paused"
    assert paused.reason == "S3 refuses the request (AccessDenied): the credentials lack a permission."
    assert (paused.sent >= 30, paused.failed) == (True, 0)
    assert "export.json" not in desk.objects()
    # It takes objects again: nothing that was sent is sent once more.
    proxy.fault, before = lambda method, path: None, set(sent)
    sent.clear()
    desk.services.exports.resume(identifier)
    done = desk.run(identifier)
    assert (done.state, done.sent, done.failed) == ("done", 60, 0)
    assert set(sent) & before == set()
    verify(desk.objects())


def test_a_refusal_of_one_object_is_that_instance_s_failure(proxied):
    desk, proxy = proxied
    refused = []

    def fault(method, path):
        if dicom(method, path) and (not refused or path in refused):
            refused[:] = [path]
            return 403, DENIED
        return None

    proxy.fault = fault
    identifier = desk.ask()
    done = desk.run(identifier)
    assert (done.state, done.sent, done.failed) == ("done", 59, 1)
    objects = desk.objects()
    document, _ = verify(objects)
    assert document["failed"] == 1
    assert b"BucketRefused,S3 refuses the request (AccessDenied)" in objects["failures.csv"]
    # The failure alone is run again.
    proxy.fault = lambda method, path: None
    desk.services.exports.rerun(identifier, _keys(desk))
    assert "export.json" in desk.objects()
    again = desk.run(identifier)
    assert (again.state, again.sent, again.failed) == ("done", 60, 0)
    objects = desk.objects()
    verify(objects)
    assert "failures.csv" not in objects


def _keys(desk):
    from website.exports.credentials import read_keys

    return read_keys(desk.keys())


def test_keys_that_expire_half_way_pause_the_job_until_others_are_entered(proxied):
    desk, proxy = proxied
    count = [0]

    def fault(method, path):
        count[0] += dicom(method, path)
        return (400, EXPIRED) if count[0] > 20 and method == "PUT" else None

    proxy.fault = fault
    identifier = desk.ask()
    paused = desk.run(identifier)
    assert (paused.state, paused.reason) == (
        "paused",
        "S3 refuses the request (ExpiredToken): the temporary keys have expired.",
    )
    proxy.fault = lambda method, path: None
    desk.services.exports.resume(identifier, _keys(desk))
    done = desk.run(identifier)
    assert (done.state, done.sent) == ("done", 60)
    verify(desk.objects())


def test_keys_are_erased_at_the_end_and_after_twelve_hours(proxied, research_database):
    desk, _ = proxied
    identifier = desk.ask()
    assert desk.services.exports.keys(identifier) is not None
    with research_database.owner.transaction() as cursor:
        cursor.execute("SELECT expires_at - now() <= interval '12 hours' FROM research.export_secrets")
        assert cursor.fetchone() == (True,)
        cursor.execute("UPDATE research.export_secrets SET expires_at = now()")
    assert desk.services.exports.keys(identifier) is None
    paused = desk.run(identifier)
    assert (paused.state, paused.reason) == ("paused", "the keys were erased: enter them again.")
    desk.services.exports.resume(identifier, _keys(desk))
    assert desk.run(identifier).state == "done"
    with research_database.owner.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM research.export_secrets")
        assert cursor.fetchone() == (0,)


def test_a_bucket_that_stays_away_makes_the_job_wait_and_say_so(proxied):
    desk, proxy = proxied
    proxy.fault = lambda method, path: (503, SLOW_DOWN) if dicom(method, path) else None
    identifier = desk.ask()
    desk.admit()
    with pytest.raises(Exception, match="SlowDown"):
        ExportJob(desk.services, desk.read(identifier), 0, lambda: False, lambda: None).run()
    waits = desk.read(identifier)
    assert (waits.state, waits.reason) == ("running", "S3 cannot serve this now (SlowDown); it is tried again.")
    proxy.fault = lambda method, path: None
    assert ExportJob(desk.services, waits, 1, lambda: False, lambda: None).run() == "done"
    verify(desk.objects())


@pytest.mark.parametrize(("wish", "state"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_wish_is_followed_while_it_runs(proxied, wish, state):
    desk, proxy = proxied
    proxy.delay = 0.2
    identifier = desk.ask()
    thread = desk.start(identifier)
    wait_until(lambda: desk.read(identifier).sent > 0, "the first instance", seconds=60)
    assert desk.services.exports.ask(identifier, wish) == "running"
    wait_until(lambda: desk.read(identifier).state == state, state, seconds=30)
    thread.join(30)
    stopped = desk.read(identifier)
    assert 0 < stopped.sent < 60
    assert stopped.finished_at is not None or state == "paused"
    assert "export.json" not in desk.objects()
    if state == "paused":
        proxy.delay = 0
        desk.services.exports.resume(identifier)
        assert desk.run(identifier).sent == 60
        verify(desk.objects())


@pytest.mark.parametrize(("wish", "state"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_wish_is_followed_while_the_list_is_made(desk, monkeypatch, wish, state):
    monkeypatch.setattr("website.exports.job._ASK_SECONDS", 0)
    desk.store(make_slice(1), make_slice(2))
    identifier = desk.ask()
    desk.admit()
    desk.services.exports.ask(identifier, wish)
    ExportJob(desk.services, desk.read(identifier), 0, lambda: False, lambda: None).run()
    stopped = desk.read(identifier)
    assert (stopped.state, stopped.listed, desk.objects()) == (state, False, {})
    if state == "paused":
        desk.services.exports.resume(identifier)
        assert desk.run(identifier).sent == 2


def test_a_wish_is_followed_while_a_long_manifest_is_sent(desk, monkeypatch):
    monkeypatch.setattr("website.exports.bucket.PART", 100)
    monkeypatch.setattr("website.exports.manifest._PIECE", 50)
    desk.store(*(make_slice(number) for number in range(5)))
    identifier = desk.ask()
    finish = manifest.finish

    def ask_first(*given):
        desk.services.exports.ask(identifier, "cancel")
        finish(*given)

    monkeypatch.setattr("website.exports.manifest.finish", ask_first)
    assert desk.run(identifier).state == "cancelled"
    assert "export.json" not in desk.objects()
    assert "manifest.csv" not in desk.objects()


def test_permissions_that_end_while_it_runs_end_the_rest(proxied, monkeypatch):
    desk, proxy = proxied
    monkeypatch.setattr("website.exports.job._LOOK_AGAIN_SECONDS", 0.2)
    monkeypatch.setattr("website.exports.job._PAGE", 5)
    proxy.delay = 0.5
    identifier = desk.ask()
    thread = desk.start(identifier)
    wait_until(lambda: desk.read(identifier).sent > 0, "the first instance", seconds=60)
    desk.permit(
        "Profiles:\n  Mr: {DICOMQueryFilter: Modality StrEquals MR}\nPermissions: [{Users: rita, Profiles: Mr}]\n"
    )
    thread.join(60)
    done = desk.read(identifier)
    assert done.state == "done"
    assert done.sent < 60
    assert done.sent + done.failed == 60
    assert len(manifest_of(desk.objects())) == done.sent


def test_what_left_the_archive_meanwhile_is_a_failure_with_its_reason(desk):
    ids = desk.store(make_slice(1), make_slice(2))
    identifier = desk.ask()
    desk.services.orthanc.delete_instance(ids[0])
    done = desk.run(identifier)
    assert (done.sent, done.failed) == (1, 1)
    assert b"NotFound" in desk.objects()["failures.csv"]


def test_an_orthanc_that_refuses_us_costs_no_instance(desk, research_orthanc):
    desk.store(make_slice(1))
    identifier = desk.ask()
    refusing = through(desk, research_orthanc, lambda _, path: (401, b"") if path.endswith(FILES) else None)
    with refusing as there, pytest.raises(Exception, match="Orthanc answered 401"):
        there.run(identifier)
    assert desk.read(identifier).failed == 0
    assert desk.run(identifier).state == "done"


@contextmanager
def through(desk, orthanc, fault):
    """Give a desk whose Orthanc answers otherwise now and then."""
    with faulty_proxy(orthanc.url) as proxy:
        proxy.fault = fault
        yield replace(desk, services=replace(desk.services, orthanc=Orthanc(proxy.url, *orthanc.auth)))


def test_a_file_that_is_not_what_was_stored_is_not_sent(desk, research_orthanc):
    """Its MD5 in Orthanc's index is another: that is said, and the rest goes on."""
    ids = desk.store(make_slice(1), make_slice(2))
    place = f"{ids[0]}/attachments/dicom/md5"
    with through(desk, research_orthanc, lambda _, path: (200, b"0" * 32) if path.endswith(place) else None) as there:
        done = there.run(there.ask())
    assert (done.state, done.sent, done.failed) == ("done", 1, 1)
    objects = desk.objects()
    verify(objects)
    assert b"InvalidDicom,The archive's file is damaged" in objects["failures.csv"]


def test_an_instance_replaced_between_two_requests_is_sent_as_it_is_now(desk, research_orthanc):
    new, old, asked = make_slice(1), make_slice(2), []

    def fault(method, path):
        if path.endswith(FILES):
            asked.append(path)
        return (200, old) if path.endswith(FILES) and len(asked) == 1 else None

    desk.store(new)
    with through(desk, research_orthanc, fault) as there:
        done = there.run(there.ask())
    assert (done.sent, done.failed) == (1, 0)
    assert new in desk.objects().values()
    assert len(asked) >= 2


def test_an_orthanc_that_keeps_no_sums(desk, research_orthanc):
    desk.store(make_slice(1))
    with through(desk, research_orthanc, lambda _, path: (404, b"") if path.endswith("/md5") else None) as there:
        assert there.run(there.ask()).sent == 1
    verify(desk.objects())
