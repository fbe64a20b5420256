"""Rules on pixels: what loads, what it means."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from common.errors import RulesError
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.requests import requests_of
from deidentifier.rules_file import load_rules

HEAD = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n  - Scope: {Labels: ALL}\n"


def rule(text: str):
    rules = load_rules(f"{HEAD}    RemoveBurnedInAnnotations: [{{{text}}}]\n")
    return [one for entry in rules.entries for one in entry.transformations]


def test_boxes_by_hand() -> None:
    [request] = requests_of(rule("Type: Manual, BoxCoordinates: [[0, 1, 2, 3], [4, 5, 6, 7]]"), Dataset())
    assert request.boxes == (Box(0, 1, 2, 3), Box(4, 5, 6, 7))
    assert not request.find


def test_text_to_be_found() -> None:
    rules = rule("Type: OCR, Engine: rekognition, Keep: ['[LR]', '\\d+ MHz'], HeaderTerms: true")
    [request] = requests_of(rules, Dataset())
    assert request.find
    assert request.header_terms
    assert request.engine == "rekognition"
    assert [pattern.pattern for pattern in request.keep] == ["[LR]", r"\d+ MHz"]
    assert "resembles" in rules[0].describe()
    assert "Rekognition" in rules[0].describe()


def test_known_devices_are_hidden_too_but_where_only_header_terms_are() -> None:
    device = Dataset()
    device.Manufacturer, device.Modality, device.Columns, device.Rows = "SonoSite", "US", 640, 480
    [request] = requests_of(rule("Type: OCR"), device)
    assert Box(0, 0, 640, 31) in request.boxes
    [request] = requests_of(rule("Type: OCR, HeaderTerms: true"), device)
    assert not request.boxes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Type: OCR, Keep: ['(']", "not a regular expression"),
        ("Type: OCR, BoxCoordinates: [[0, 0, 1, 1]]", "BoxCoordinates: not with Type: OCR"),
        ("Type: Manual, BoxCoordinates: [[0, 0, 1, 1]], Keep: x", "Keep: not with Type: Manual"),
        ("Type: Manual", "needs BoxCoordinates"),
        ("Type: OCR, Engine: tesseract", "Engine|rekognition"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(RulesError, match=message):
        rule(text)
