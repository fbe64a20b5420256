"""No original identifier reaches the research side, or any log."""

from __future__ import annotations

import hashlib
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from pydicom.multival import MultiValue

from demo.samples import sample_paths

KEYWORDS = ("PatientName", "PatientID", "AccessionNumber", "PatientBirthDate")
# Shorter ones are found in any bytes by chance; as the value of an element they are looked for all the same.
SHORTEST = 6
# An accession number "1" is also the number of many a series; a single character identifies nobody.
NUMBERS = {"IS", "DS", "US", "SS", "UL", "SL", "FL", "FD", "UV", "SV"}


@dataclass(frozen=True)
class Original:
    """The identifiers of one file that was sent, and Orthanc's identifier of its instance at the source."""

    path: Path
    instance: str
    texts: dict[str, str]
    raw: dict[str, bytes]


def read_original(path: Path) -> Original:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        raw = {keyword: dataset.get_item(keyword) for keyword in KEYWORDS if keyword in dataset}
        values = {keyword: item.value for keyword, item in raw.items() if isinstance(item.value, bytes)}
        texts = {keyword: str(dataset[keyword].value or "").strip() for keyword in raw}
        keys = [str(dataset.get(k, "") or "").strip() for k in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")]
    digest = hashlib.sha1("|".join([*keys, str(dataset.SOPInstanceUID)]).encode()).hexdigest()
    instance = "-".join(digest[i : i + 8] for i in range(0, 40, 8))
    return Original(path, instance, texts, {keyword: value.strip(b" \0") for keyword, value in values.items()})


@pytest.fixture(scope="module")
def originals() -> list[Original]:
    return [read_original(path) for path in sample_paths()]


def texts(originals: list[Original], *, dates: bool) -> set[str]:
    """Return the identifiers of all originals; without birth dates, which another patient's date may become."""
    keywords = KEYWORDS if dates else KEYWORDS[:3]
    return {
        text
        for original in originals
        for keyword, text in original.texts.items()
        if keyword in keywords and text.strip("^=")
    }


def needles(originals: list[Original], *, dates: bool) -> set[bytes]:
    """Return what is looked for in bytes: identifiers as they stood in the files, and in UTF-8."""
    keywords = KEYWORDS if dates else KEYWORDS[:3]
    raw = {value for original in originals for keyword, value in original.raw.items() if keyword in keywords}
    found = raw | {text.encode() for text in texts(originals, dates=dates)}
    return {needle for needle in found if len(needle) >= SHORTEST and needle.strip(b"^= ")}


def values(dataset: pydicom.Dataset):
    """Yield keyword, VR and text of every value at every depth."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from values(item)
        elif element.tag != 0x7FE00010:
            several = element.value if isinstance(element.value, MultiValue | list) else [element.value]
            for value in several:
                text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                yield element.keyword, element.VR, text.strip(" \0")


def outside_pixel_data(file) -> bytes:
    """Return a file's bytes, inflated, without the value of PixelData."""
    data = inflated(file)
    pixels = file.dataset.get_item("PixelData")
    if pixels is None:
        return data
    dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(file.data), defer_size=None)
    value = dataset.get_item("PixelData").value
    start = data.rindex(value) if value else len(data)
    return data[:start] + data[start + len(value) :]


def inflated(file) -> bytes:
    """Return a file's bytes; of a deflated data set, those before it was deflated (PS3.5 A.5)."""
    meta = file.dataset.file_meta
    if meta.TransferSyntaxUID != pydicom.uid.DeflatedExplicitVRLittleEndian:
        return file.data
    start = 144 + meta.FileMetaInformationGroupLength
    return file.data[:start] + zlib.decompress(file.data[start:], -zlib.MAX_WBITS)


def test_the_search_would_find_them(originals):
    assert len(needles(originals, dates=True)) > 50
    assert sum(bool(original.raw) for original in originals) > 100


def test_no_value_of_an_element_is_an_identifier(originals, research_files):
    forbidden = texts(originals, dates=False)
    leaks = {
        (keyword, vr, len(text))
        for file in research_files
        for keyword, vr, text in values(file.dataset)
        if text in forbidden and len(text) > 1 and not (vr in NUMBERS and len(text) < SHORTEST)
    }
    assert not leaks


def test_no_birth_date_stays_in_its_file(platform, originals, research_files):
    by_result = {file.id: file for file in research_files}
    with platform.owner().transaction() as cursor:
        cursor.execute("SELECT subject, result FROM ingest.tasks WHERE kind = 'deidentify' AND state = 'done'")
        results = dict(cursor.fetchall())
    checked = 0
    for original in originals:
        birth = original.texts.get("PatientBirthDate", "")
        if birth and original.instance in results:
            file = by_result[results[original.instance]]
            assert birth not in {text for _, _, text in values(file.dataset)}, original.path.name
            assert birth.encode() not in outside_pixel_data(file), original.path.name
            checked += 1
    assert checked > 10


def test_no_identifier_stands_in_the_bytes_outside_pixel_data(originals, research_files):
    wanted = needles(originals, dates=False)
    leaks = {
        (file.id, len(needle)) for file in research_files for needle in wanted if needle in outside_pixel_data(file)
    }
    assert not leaks


def test_no_identifier_is_in_the_tables_of_the_index(platform, originals, research_files):
    # Dates of the results are legitimate: that none of them is its own patient's birth date was shown above.
    dates = {text.encode() for file in research_files for _, vr, text in values(file.dataset) if vr == "DA"}
    wanted = needles(originals, dates=True) - dates
    with platform.owner().transaction() as cursor:
        cursor.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('research', 'ingest')")
        names = cursor.fetchall()
        rows = 0
        for schema, table in names:
            if (schema, table) == ("ingest", "mappings"):
                continue  # originals and their replacements: what this table is for, and readable on its side only
            cursor.execute(f'SELECT t::text FROM "{schema}"."{table}" AS t')
            for (row,) in cursor:
                rows += 1
                assert not [len(needle) for needle in wanted if needle in row.encode()], f"{schema}.{table}"
    assert rows > len(research_files)


def test_no_identifier_is_in_a_log(platform, originals, research_files):
    logs = sorted(platform.folder.rglob("*.log"))
    assert {"demo.log", "orthanc.log", "postgresql.log"} <= {log.name for log in logs}
    wanted = needles(originals, dates=True)
    for log in logs:
        found = [len(needle) for needle in wanted if needle in log.read_bytes()]
        assert not found, log.name
