"""Finding and reading what is to be de-identified."""

import io
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from common.errors import InvalidDicomError, NotFoundError, RefusedError
from common.storage import Storage
from deidentifier.offline.inputs import find_inputs, read_input
from deidentifier.offline.media import is_media_directory

LIMIT = 10_000_000


@pytest.fixture
def storage():
    return Storage()


def find(storage, *paths, limit=LIMIT):
    return list(find_inputs([str(path) for path in paths], storage, limit))


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_files_and_folders_are_found_in_order(storage, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2").write_bytes(b"two")
    (tmp_path / "b" / "1").write_bytes(b"one")
    (tmp_path / "a").write_bytes(b"a")
    inputs = find(storage, tmp_path / "a", tmp_path / "b")
    assert [each.relative for each in inputs] == ["a", "1", "2"]
    assert [read_input(each, storage, LIMIT) for each in inputs] == [b"a", b"one", b"two"]


def test_a_path_that_names_nothing_is_an_error(storage, tmp_path):
    with pytest.raises(NotFoundError):
        find(storage, tmp_path / "absent")


def test_members_of_an_archive_are_inputs(storage, tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped(**{"f/1": b"one", "2": b"two"}))
    inputs = find(storage, tmp_path)
    assert [each.relative for each in inputs] == ["x.zip/f/1", "x.zip/2"]
    assert [read_input(each, storage, LIMIT) for each in inputs] == [b"one", b"two"]
    assert str(inputs[0]) == f"{tmp_path}/x.zip!f/1"


def test_an_archive_is_known_by_its_bytes_not_its_name(storage, tmp_path):
    (tmp_path / "x").write_bytes(zipped(a=b"one"))
    (tmp_path / "y.zip").write_bytes(b"no archive")
    assert [each.relative for each in find(storage, tmp_path)] == ["x/a", "y.zip"]


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "..\\out", "C:/out", "a//b"])
def test_a_member_that_leads_out_is_refused(storage, tmp_path, name):
    (tmp_path / "x.zip").write_bytes(zipped(**{name: b"x"}))
    (found,) = find(storage, tmp_path / "x.zip")
    assert isinstance(found.problem, RefusedError)
    assert ".." not in found.relative
    with pytest.raises(RefusedError):
        read_input(found, storage, LIMIT)


def test_an_archive_that_would_grow_beyond_the_limit_is_refused(storage, tmp_path):
    (tmp_path / "x.zip").write_bytes(zipped(a=bytes(600), b=bytes(600)))
    (found,) = find(storage, tmp_path / "x.zip", limit=1000)
    assert isinstance(found.problem, RefusedError)


def test_a_member_that_lies_about_its_size_does_not_grow(storage, tmp_path):
    data = bytearray(zipped(a=bytes(100_000)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = archive.start_dir
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")  # uncompressed size in the central directory
    (tmp_path / "x.zip").write_bytes(data)
    (found,) = find(storage, tmp_path / "x.zip", limit=1000)
    with pytest.raises(InvalidDicomError):
        read_input(found, storage, 1000)


def test_damaged_archives_and_members_are_reported(storage, tmp_path):
    whole = zipped(a=bytes(range(256)) * 10)
    (tmp_path / "cut.zip").write_bytes(whole[:40])
    broken = bytearray(whole)
    broken[40] ^= 0xFF
    (tmp_path / "flipped.zip").write_bytes(broken)
    cut, flipped = find(storage, tmp_path)
    assert isinstance(cut.problem, InvalidDicomError)
    with pytest.raises(InvalidDicomError):
        read_input(flipped, storage, LIMIT)


def test_an_archive_s_other_compressions_are_refused(storage, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"x" * 100)
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    (found,) = find(storage, tmp_path)
    assert isinstance(found.problem, RefusedError)


def test_a_dicomdir_stands_for_its_files_and_is_never_one_itself(storage):
    path = get_testdata_file("DICOMDIR")
    inputs = find(storage, path)
    listed = [r for r in pydicom.dcmread(path).DirectoryRecordSequence if "ReferencedFileID" in r]
    assert len(inputs) == len(listed) > 10
    assert all(each.problem is None for each in inputs)
    assert all(not is_media_directory(read_input(each, storage, LIMIT)) for each in inputs)


def test_a_dicomdir_in_a_folder_or_an_archive_is_passed_over(storage, tmp_path):
    data = Path(get_testdata_file("DICOMDIR")).read_bytes()
    (tmp_path / "DICOMDIR").write_bytes(data)
    (tmp_path / "x.zip").write_bytes(zipped(DICOMDIR=data, a=b"x"))
    assert [each.relative for each in find(storage, tmp_path)] == ["x.zip/a"]
    assert is_media_directory(data)


def test_a_file_that_only_calls_itself_dicomdir_is_an_input(storage, tmp_path):
    (tmp_path / "DICOMDIR").write_bytes(Path(get_testdata_file("CT_small.dcm")).read_bytes())
    assert [each.relative for each in find(storage, tmp_path)] == ["DICOMDIR"]


def test_a_dicomdir_that_lists_files_outside_is_refused(storage, tmp_path):
    directory = pydicom.dcmread(get_testdata_file("DICOMDIR"))
    for record in directory.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            with pydicom.config.disable_value_validation():
                record.ReferencedFileID = ["..", "SECRET"]
    directory.save_as(tmp_path / "DICOMDIR")
    assert all(isinstance(each.problem, RefusedError) for each in find(storage, tmp_path / "DICOMDIR"))
