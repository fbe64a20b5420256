"""Rebuilding the index from a real Orthanc."""

from __future__ import annotations

from common.orthanc import Orthanc
from common.query import EVERYTHING, parse
from tests.helpers.index_documents import make_document
from website.rebuild import rebuild


def test_the_index_follows_orthanc(index, research_orthanc, sample_files) -> None:
    orthanc = Orthanc(research_orthanc.url, *research_orthanc.auth)
    for file in sample_files[:12]:
        orthanc.upload(file.read_bytes())
    stale = make_document("stale", {"Modality": ["XX"]})
    index.add([stale])
    seen: list[int] = []
    done = rebuild(orthanc, index, progress=seen.append)
    held = set(orthanc.all_instances())
    assert (done.indexed, done.removed, done.failures, sum(seen)) == (len(held), 1, [], len(held))
    assert set(index.instance_ids()) == held
    assert index.count(parse("Modality StrEquals XX")).instances == 0
    again = rebuild(orthanc, index)
    assert (again.indexed, again.removed) == (len(held), 0)
    assert index.count(EVERYTHING).instances == len(held)
