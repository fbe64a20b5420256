"""The index: what goes in comes out, whoever adds, replaces and removes."""

from __future__ import annotations

import json
import threading

import pytest

from common.dicom_json import element_document
from common.dicom_scan import scan
from common.errors import InvalidDicomError, NotFoundError, QueryError, SearchTimeoutError
from common.query import EVERYTHING, NOTHING, match, parse
from common.tags import parse_tag_path
from tests.helpers.index_documents import make_document
from website.index import Counts, Index, InstanceIds, build_document, orthanc_id

UIDS = ("SOPInstanceUID", "MediaStorageSOPInstanceUID")


def slices(series: str, count: int, **texts) -> list:
    """Make the instances of a series, which differ in UID, number and position."""
    return [
        make_document(
            f"{series}.{number}",
            {
                "SOPInstanceUID": [f"1.2.{series}.{number}"],
                "MediaStorageSOPInstanceUID": [f"1.2.{series}.{number}"],
                "InstanceNumber": [str(number)],
                "ImagePositionPatient": ["0.0", "-1.5", str(number / 2)],
                "Modality": ["CT"],
                **{name: [value] for name, value in texts.items()},
            },
            series=series,
            study=series[0],
            patient=series[0],
        )
        for number in range(1, count + 1)
    ]


def found(index: Index, query: str) -> set[str]:
    return {hit.ids.instance for hit in index.instances(parse(query))}


def tables(index: Index) -> dict[str, int]:
    """Count the rows of what must not keep values of what left."""
    with index._database.transaction() as cursor:
        counts = {}
        for table in ("patient", "study", "series", "series_base", "series_fact", "fact", "instance"):
            cursor.execute(f"SELECT count(*) FROM research.{table}")
            counts[table] = cursor.fetchone()[0]
    return counts


def test_adding_twice_is_adding_once(index):
    documents = slices("1", 5, StationName="A") + slices("2", 3)
    index.add(documents)
    before = tables(index)
    index.add(documents)
    assert index.count(EVERYTHING) == Counts(2, 2, 2, 8)
    assert tables(index) == before
    assert index.count(NOTHING) == Counts(0, 0, 0, 0)


def test_documents_come_back_whole(index):
    documents = slices("1", 3, StationName="A")
    index.add(documents)
    for document in documents:
        again = index.document(document.ids.instance)
        assert again.ids == document.ids
        assert again.elements == document.elements
    with pytest.raises(NotFoundError):
        index.document(orthanc_id("other"))


def test_removing_leaves_nothing_behind(index):
    documents = slices("1", 5, StationName="A") + slices("2", 3)
    index.add(documents)
    index.remove(document.ids.instance for document in documents)
    assert set(tables(index).values()) == {0}
    index.remove([documents[0].ids.instance])


def test_a_replaced_value_leaves_the_index(index):
    leaking = slices("1", 4, PatientName="Leak^Name")
    index.add(leaking)
    for document in slices("1", 4, PatientName="ANON"):
        index.add([document])
    assert found(index, "PatientName StrEquals Leak*") == set()
    assert index.suggest_values("PatientName", "") == index.facets(EVERYTHING, ["PatientName"])["PatientName"]
    assert [value.value for value in index.suggest_values("PatientName", "")] == ["ANON"]
    with index._database.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM research.fact WHERE texts::text LIKE '%Leak%'")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM research.instance WHERE delta::text LIKE '%Leak%'")
        assert cursor.fetchone() == (0,)


def test_mixed_series_are_decided_by_instance(index):
    documents = slices("1", 4, ImageType="AXIAL")
    localizer = make_document("localizer", {"Modality": ["CT"], "ImageType": ["LOCALIZER"]})
    index.add([*documents, localizer])
    assert found(index, "ImageType StrEquals LOCALIZER") == {localizer.ids.instance}
    assert found(index, "NOT ImageType StrEquals LOCALIZER") == {d.ids.instance for d in documents}
    assert found(index, "InstanceNumber NotExists") == {localizer.ids.instance}
    assert index.count(parse("ImageType StrNotEquals LOCALIZER")) == Counts(1, 1, 1, 4)


def test_pages_visit_everything_once(index):
    index.add(
        slices("1", 7, StudyDate="20240101") + slices("2", 5, StudyDate="20230101") + slices("3", 3) + slices("31", 2)
    )
    for level, wanted in (("study", 3), ("series", 4), ("instance", 17)):
        for sort in ("", "StudyDate", "-StudyDate", "InstanceNumber", "-InstanceNumber", "SOPInstanceUID", "Rows"):
            seen, after = [], ""
            while after is not None:
                page = index.page(
                    parse("Modality StrEquals CT"), level, sort, after, 2, ["StudyDate", "InstanceNumber"]
                )
                assert len(page.rows) == 2 or page.next is None
                seen += page.rows
                after = page.next
            identifiers = [row.instance or row.series or row.study for row in seen]
            assert len(identifiers) == len(set(identifiers)) == wanted
            if sort.endswith("StudyDate"):
                dates = [row.values.get((0x00080020,), [""])[0] for row in seen]
                dated = [date for date in dates if date]
                assert dates[len(dated) :] == [""] * (len(dates) - len(dated))
                assert dated == sorted(dated, reverse=sort.startswith("-"))
    numbers = [
        row.values[(0x00200013,)][0]
        for row in index.page(EVERYTHING, "instance", limit=7, columns=["InstanceNumber"]).rows
    ]
    assert numbers == ["1", "2", "3", "4", "5", "6", "7"]
    assert [row.instance_count for row in index.page(parse("InstanceNumber NbGreater 4"), "study").rows] == [3, 1]


@pytest.mark.parametrize("cursor", ["x", "W10", "WyJhIl0", "WzEsIDJd", "WyIwIiwgOTk5OTk5OTk5OTk5OTld", "é"])
def test_a_foreign_cursor_is_refused(index, cursor):
    index.add(slices("1", 1))
    for level in ("study", "series", "instance"):
        with pytest.raises(QueryError):
            index.page(EVERYTHING, level, after=cursor)


def test_facets_count_instances_and_series(index):
    index.add(slices("1", 4, StationName="A") + slices("2", 2, StationName="B") + slices("3", 1))
    mixed = make_document("mixed", {"Modality": ["CT"], "StationName": ["A", "C", "A"]})
    index.add([mixed])
    facets = index.facets(parse("Modality StrEquals CT"), ["StationName", "InstanceNumber", "Rows"], 3)
    assert [(f.value, f.instances, f.series) for f in facets["StationName"]] == [("A", 5, 1), ("B", 2, 1), ("C", 1, 1)]
    assert [(f.value, f.instances) for f in facets["InstanceNumber"]] == [("1", 3), ("2", 2), ("3", 1)]
    assert facets["Rows"] == []
    assert [f.value for f in index.suggest_values("StationName", "b")] == ["B"]
    assert index.suggest_values("StationName", "%") == []
    assert [f.value for f in index.suggest_values("StationName", "", parse("InstanceNumber NbGreater 3"))] == ["A"]


def test_tags_are_suggested(index):
    index.add([make_document("1", {"Modality": ["CT"], "ReferencedStudySequence.Modality": ["MR"], "00190040": ["x"]})])
    assert index.suggest_tags("mod") == ["Modality", "ReferencedStudySequence.Modality"]
    assert index.suggest_tags("0019") == ["00190040"]
    assert index.suggest_tags("nothing") == []


def test_hits_know_their_place(index):
    documents = slices("1", 3)
    index.add(reversed(documents))
    hits = list(index.instances(parse("InstanceNumber NbGreater 1"), documents=True))
    assert [(hit.ids, hit.index_in_series) for hit in hits] == [(documents[1].ids, 2), (documents[2].ids, 3)]
    assert [hit.document.elements for hit in hits] == [documents[1].elements, documents[2].elements]
    assert set(index.instance_ids()) == {document.ids.instance for document in documents}
    assert index.count_instances() == 3


def test_values_alone_are_those_of_the_whole_document(index):
    documents = slices("1", 3, StationName="A") + slices("2", 1, PatientName="P")
    index.add(documents)
    names = ("SOPInstanceUID", "InstanceNumber", "StationName", "PatientName", "Rows")
    only = [parse_tag_path(name) for name in names]
    found = {each.ids: each for each in index.documents((each.ids.instance for each in documents), only)}
    hits = {hit.ids: hit.document for hit in index.instances(EVERYTHING, documents=True, only=only)}
    for document in documents:
        for path in only:
            assert found[document.ids].values(path) == hits[document.ids].values(path) == document.values(path)
        assert len(found[document.ids].texts) < len(document.texts)


def test_permission_is_by_instance(index):
    documents = slices("1", 2)
    index.add(documents)
    assert index.permitted(documents[0].ids.instance, parse("InstanceNumber NbEquals 1"))
    assert not index.permitted(documents[1].ids.instance, parse("InstanceNumber NbEquals 1"))
    assert not index.permitted(orthanc_id("other"), EVERYTHING)
    assert not index.permitted("../system", EVERYTHING)


def test_writers_beside_each_other(index):
    """Eight threads add, replace and remove overlapping instances; what they leave is consistent."""
    documents = slices("1", 12, StationName="A") + slices("2", 12, StationName="A")
    errors: list[BaseException] = []

    def work(turn: int) -> None:
        try:
            for round_ in range(4):
                part = documents[(turn + round_) % 3 :: 3]
                index.add(part)
                if turn % 2:
                    index.remove(d.ids.instance for d in part[::2])
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    listed = list(index.instances(EVERYTHING, documents=True))
    known = {d.ids.instance: d for d in documents}
    assert index.count_instances() == len(listed)
    assert all(hit.document.elements == known[hit.ids.instance].elements for hit in listed)
    index.add(documents)
    assert index.count(EVERYTHING) == Counts(2, 2, 2, 24)


def test_a_search_that_takes_too_long_says_what_to_do(make_index):
    index = make_index(timeout=0.001)
    with pytest.raises(SearchTimeoutError, match="narrow it by a value"), index._search() as cursor:
        cursor.execute("SELECT pg_sleep(5)")


def test_the_samples_come_back_as_they_were_scanned(index, sample_files):
    documents = {}
    for file in sample_files:
        data = file.read_bytes()
        try:
            document = build_document(None, data)
        except InvalidDicomError:
            continue
        documents[document.ids.instance] = (document, data)
    index.add(document for document, _ in documents.values())
    assert len(documents) > 100
    for instance, (document, data) in documents.items():
        again = index.document(instance)
        assert again.elements == document.elements
        scanned = scan(data)
        assert InstanceIds.of(scanned) == document.ids
        for path in document.texts:
            tags = tuple(int(tag, 16) for tag in path.split("."))
            texts = [text.replace("\0", "") for text in scanned.values(tags) or []]
            assert list(again.values(tags)) == texts, path
        assert json.dumps(element_document(again.elements)) == json.dumps(element_document(document.elements))
    for query in ("Modality Exists", "NOT Modality StrEquals MR", "PatientName StrEquals *^*", "Rows NbGreater 100"):
        node = parse(query)
        wanted = {instance for instance, (_, data) in documents.items() if match(node, scan(data))}
        assert found(index, query) == wanted


def test_a_search_counts_what_its_page_is_of(index):
    """Within a study or series, nothing else is looked at, and the query still holds."""
    index.add(slices("1a", 4) + slices("1b", 2) + slices("2", 3))
    query = parse("InstanceNumber NbGreater 1")
    hits = {hit.ids.series: hit.ids.study for hit in index.instances(EVERYTHING)}
    [(series, study)] = [(series, study) for series, study in hits.items() if list(hits.values()).count(study) == 1]
    for level in ("study", "series", "instance"):
        counts, page = index.search(query, level, limit=2)
        assert counts == index.count(query) == Counts(2, 2, 3, 6)
        assert len(page.rows) == 2
        after = index.search(query, level, after=page.next or "", limit=100)[0]
        assert after == counts
        for place in (("study", study), ("series", series)):
            counts, page = index.search(query, level, within=place)
            assert counts == Counts(1, 1, 1, 2)
            assert {row.study for row in page.rows} == {study}
    assert index.search(query, within=("series", study)) == (
        Counts(0, 0, 0, 0),
        index.page(query, within=("series", study)),
    )


def test_ranges_of_one_element_are_one_test_with_each_value_by_itself(index):
    """Two conditions on one element may hold by two of its values; merged into one test they still may."""
    index.add([make_document("1", {"PixelSpacing": ["0.5", "3.0"]}), make_document("2", {"PixelSpacing": ["1.5"]})])
    one, two = (make_document(name, {}).ids.instance for name in "12")
    assert found(index, "PixelSpacing NbGreater 2 AND PixelSpacing NbLess 1") == {one}
    assert found(index, "PixelSpacing NbGreater 1 AND PixelSpacing NbLess 2") == {one, two}
    assert found(index, "PixelSpacing NbGreater 2 OR PixelSpacing NbEquals 1.5") == {one, two}
    assert found(index, "PixelSpacing Exists AND PixelSpacing NbLess 1") == {one}
    assert found(index, "SOPInstanceUID Exists AND SOPInstanceUID NotExists") == set()
