"""The rules and permissions that a new deployment starts with."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.profiles.clean_text import read_vocabulary
from deidentifier.rules_file import load_rules
from tests.helpers.cloudformation import load
from website.exports.destinations import load_destinations
from website.permissions import load_permissions

ROOT = Path(__file__).parents[2]
NAME, IDENTIFIER = "MARKEDNAME^GIVEN", "MARKED-4711"


@pytest.fixture(scope="module")
def files():
    return load()["Resources"]["ConfigurationFiles"]["Properties"]["Files"]


def test_they_are_the_shipped_ones_under_the_names_of_version_1(files):
    assert {key: text.rstrip() for key, text in files.items()} == {
        "config/de-identifier/config.yaml": (ROOT / "deidentifier/default-rules.yaml").read_text().rstrip(),
        "config/website/permissions.yaml": (ROOT / "website/default-permissions.yaml").read_text().rstrip(),
        "config/website/destinations.yaml": (ROOT / "website/default-destinations.yaml").read_text().rstrip(),
        "config/de-identifier/vocabulary.txt": (ROOT / "deidentifier/default-vocabulary.txt").read_text().rstrip(),
    }


def test_the_rules_load_and_let_no_name_through(files):
    rules = load_rules(files["config/de-identifier/config.yaml"])
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientName, dataset.PatientID = NAME, IDENTIFIER
    dataset.PatientComments = f"{NAME} called, see {IDENTIFIER}"
    original = io.BytesIO()
    dataset.save_as(original)
    outcome = Deidentifier(rules, MemoryMappings()).deidentify(original.getvalue())
    assert outcome.state == "deidentified"
    assert b"MARKED" not in outcome.data
    assert str(dataset.StudyInstanceUID).encode() not in outcome.data


def test_the_permissions_load_and_give_strangers_nothing(files):
    permissions = load_permissions(files["config/website/permissions.yaml"])
    assert not permissions.access("somebody", frozenset({"researchers"})).may("see")
    assert permissions.access("somebody", frozenset({"admin"})).may("admin")


def test_the_destinations_load_and_are_none_and_the_example_is_one(files):
    text = files["config/website/destinations.yaml"]
    assert load_destinations(text) == {}
    example = "\n".join(line[2:] for line in text.splitlines() if re.match("# (Dest|  )", line))
    assert set(load_destinations(example)) == {"trial"}


def test_the_vocabulary_loads_and_keeps_no_word(files):
    assert not read_vocabulary(files["config/de-identifier/vocabulary.txt"])
