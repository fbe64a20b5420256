"""Locations on disk and in S3, and watched files."""

import os
import stat

import pytest

from common.errors import (
    NotFoundError,
    RefusedError,
    RulesError,
    StorageUnavailableError,
)
from common.storage import Storage, WatchedFile, is_s3, join, split_s3


@pytest.fixture
def storage():
    return Storage()


def test_a_local_file_is_written_and_read_back(storage, tmp_path):
    path = str(tmp_path / "new" / "file")
    storage.write(path, b"one")
    assert storage.read(path) == b"one"
    assert os.listdir(tmp_path / "new") == ["file"]
    with storage.open(path) as file:
        assert file.read() == b"one"


def test_a_written_file_has_the_mode_that_the_umask_gives(storage, tmp_path):
    before = os.umask(0o027)
    try:
        storage.write(str(tmp_path / "file"), b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == 0o640


def test_the_version_changes_with_the_file(storage, tmp_path):
    path = str(tmp_path / "file")
    storage.write(path, b"one")
    data, version = storage.read_version(path)
    assert (data, storage.version(path)) == (b"one", version)
    storage.write(path, b"two")
    assert storage.version(path) != version


def test_a_folder_is_listed_with_all_below_it_in_order(storage, tmp_path):
    for name in ("b/2", "b/1", "a", "c/d/e"):
        storage.write(str(tmp_path / name), b"x")
    entries = list(storage.list(str(tmp_path)))
    assert [entry.relative for entry in entries] == ["a", "b/1", "b/2", "c/d/e"]
    assert {entry.size for entry in entries} == {1}
    assert [entry.relative for entry in storage.list(str(tmp_path / "a"))] == ["a"]


ACTS = {
    "read": lambda storage, path: storage.read(path),
    "version": lambda storage, path: storage.version(path),
    "list": lambda storage, path: list(storage.list(path)),
    "open": lambda storage, path: storage.open(path).__enter__(),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_missing_file_is_not_named_in_the_error(storage, tmp_path, act):
    with pytest.raises(NotFoundError) as caught:
        act(storage, str(tmp_path / "Doe^John"))
    assert "Doe" not in str(caught.value)


def test_a_folder_that_is_a_file_is_refused(storage, tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises((RefusedError, NotFoundError)):
        storage.write(str(tmp_path / "a" / "b"), b"x")


def test_a_failed_write_leaves_nothing_behind(storage, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(5, "Input/output error", str(tmp_path / "Doe"))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StorageUnavailableError) as caught:
        storage.write(str(tmp_path / "file"), b"x")
    assert os.listdir(tmp_path) == []
    assert "Doe" not in str(caught.value)


def write_once(storage, location):
    assert storage.write_once(location, b"one")
    assert storage.write_once(location, b"one")
    assert not storage.write_once(location, b"two")
    assert storage.read(location) == b"one"


def test_a_file_that_exists_is_not_replaced_when_written_once(storage, tmp_path):
    write_once(storage, str(tmp_path / "new" / "file"))
    assert os.listdir(tmp_path / "new") == ["file"]


def test_locations_are_split_and_joined():
    assert is_s3("s3://b/k")
    assert not is_s3("/s3/b")
    assert split_s3("s3://b/k/l") == ("b", "k/l")
    assert split_s3("s3://b", key_required=False) == ("b", "")
    assert join("s3://b/k/", "l/m") == "s3://b/k/l/m"
    assert join("/a", "l/m") == "/a/l/m"
    with pytest.raises(RefusedError):
        split_s3("s3://b")


def test_a_dead_endpoint_is_worth_another_try(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(StorageUnavailableError):
        Storage(endpoint="http://127.0.0.1:9", region="us-east-1").read("s3://bucket/key")


@pytest.fixture
def s3_storage(s3):
    return Storage(endpoint=s3.server.url, region="us-east-1")


def test_objects_are_written_read_and_listed(s3_storage, s3):
    for name in ("b/2", "b/1", "bc", "a"):
        s3_storage.write(f"s3://{s3.name}/in/{name}", name.encode())
    assert s3_storage.read(f"s3://{s3.name}/in/b/1") == b"b/1"
    listed = [entry.relative for entry in s3_storage.list(f"s3://{s3.name}/in")]
    assert listed == ["a", "b/1", "b/2", "bc"]
    assert [entry.relative for entry in s3_storage.list(f"s3://{s3.name}/in/b")] == ["1", "2"]
    assert [entry.relative for entry in s3_storage.list(f"s3://{s3.name}/in/a")] == ["a"]
    with s3_storage.open(f"s3://{s3.name}/in/bc") as file:
        file.seek(1)
        assert file.read() == b"c"


def test_an_object_s_version_changes_with_it(s3_storage, s3):
    location = f"s3://{s3.name}/rules"
    s3_storage.write(location, b"1")
    data, version = s3_storage.read_version(location)
    assert (data, s3_storage.version(location)) == (b"1", version)
    clock = Clock()
    file = WatchedFile(location, parse_number, storage=s3_storage, interval=10, clock=clock)
    s3_storage.write(location, b"22")
    clock.now = 10
    assert file.value == 22
    assert file.version != version


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_missing_object_is_not_named_in_the_error(s3_storage, s3, act):
    with pytest.raises(NotFoundError) as caught:
        act(s3_storage, f"s3://{s3.name}/Doe^John")
    assert "Doe" not in str(caught.value)


def test_an_object_that_exists_is_not_replaced_when_written_once(s3_storage, s3):
    write_once(s3_storage, f"s3://{s3.name}/key")


def test_wrong_credentials_are_refused(s3, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(RefusedError):
        Storage(endpoint=s3.server.url, region="us-east-1").read(f"s3://{s3.name}/key")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def parse_number(data):
    try:
        return int(data)
    except ValueError as exc:
        raise RulesError("not a number") from exc


@pytest.fixture
def watched(storage, tmp_path):
    storage.write(str(tmp_path / "file"), b"1")
    clock = Clock()
    file = WatchedFile(str(tmp_path / "file"), parse_number, storage=storage, interval=10, clock=clock)
    return file, clock


def test_a_watched_file_is_read_again_after_the_interval(watched, storage):
    file, clock = watched
    storage.write(file.location, b"2")
    assert file.value == 1
    clock.now = 10
    assert file.value == 2
    assert file.version == storage.version(file.location)


def test_a_bad_edit_keeps_the_last_good_value_and_shows_why(watched, storage):
    file, clock = watched
    good = file.version
    storage.write(file.location, b"x")
    clock.now = 10
    assert file.value == 1
    assert isinstance(file.error, RulesError)
    assert file.version == good
    clock.now = 20
    assert file.value == 1
    assert isinstance(file.error, RulesError)
    storage.write(file.location, b"3")
    clock.now = 30
    assert file.value == 3
    assert file.error is None


def test_a_file_that_goes_and_comes_back(watched, storage, tmp_path):
    file, clock = watched
    os.rename(file.location, tmp_path / "away")
    clock.now = 10
    assert file.value == 1
    assert isinstance(file.error, NotFoundError)
    os.rename(tmp_path / "away", file.location)
    clock.now = 20
    assert file.value == 1
    assert file.error is None


def test_a_bad_edit_is_still_shown_after_the_storage_was_away(watched, storage, tmp_path):
    file, clock = watched
    storage.write(file.location, b"x")
    clock.now = 10
    assert file.value == 1
    os.rename(file.location, tmp_path / "away")
    clock.now = 20
    assert isinstance((file.value, file.error)[1], NotFoundError)
    os.rename(tmp_path / "away", file.location)
    clock.now = 30
    assert isinstance((file.value, file.error)[1], RulesError)


def test_a_first_load_that_fails_raises(storage, tmp_path):
    (tmp_path / "bad").write_bytes(b"x")
    with pytest.raises(RulesError):
        WatchedFile(str(tmp_path / "bad"), parse_number, storage=storage)
