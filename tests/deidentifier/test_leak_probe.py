"""The probe's marks are where it says, and none survives the default rules (bench/leak_probe.py measures all kinds)."""

import pytest

from bench.leak_probe import lost, survivors
from bench.leak_probe_files import build_probe
from bench.leak_probe_iods import IODS
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES


@pytest.fixture(scope="module")
def engine():
    return Deidentifier(load_rules(DEFAULT_RULES.read_bytes()), MemoryMappings())


def test_every_mark_stands_in_the_original():
    for name in IODS:
        probe = build_probe(name)
        assert len(probe.marks) >= 150
        assert [place for place, mark in probe.marks.items() if mark not in probe.data] == []


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("name", ["CT", "enhanced MR", "CR", "MG", "PT", "NM", "RTSTRUCT", "RTPLAN", "SR", "CT in RLE"])
def test_no_mark_survives_and_nothing_of_research_is_lost(engine, name, implicit):
    probe = build_probe(name, implicit=implicit)
    result = engine.deidentify(probe.data).data
    assert survivors(probe, result) == []
    assert lost(probe, result) == []
