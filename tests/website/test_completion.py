from __future__ import annotations

import pytest

from common.query import parse
from website.completion import complete


def tags(prefix: str) -> list[tuple[str, str]]:
    return [(name, "") for name in ("Modality", "ModalityLUTSequence", "PatientSex") if name.startswith(prefix)]


def values(tag: str, prefix: str) -> list[tuple[str, int]]:
    assert tag == "Modality"
    return [(value, 3) for value in ("CT", 'CT "x" (y)') if value.lower().startswith(prefix.lower())]


@pytest.mark.parametrize(
    ("text", "inserts"),
    [
        ("", ["Modality", "ModalityLUTSequence", "PatientSex"]),
        ("Mod|zzz", ["Modality", "ModalityLUTSequence"]),
        ("NOT (Pat", ["PatientSex"]),
        ("Modality nbless", ["NbLess", "NbLessOrEquals"]),
        ("Modality StrEquals c", ["CT", r'"CT \"x\" (y)"']),
        ('Modality StrEquals "CT ', [r'"CT \"x\" (y)"']),
        ("Modality In (CT, ", ["CT", r'"CT \"x\" (y)"']),
        ("Modality In (CT) ", ["AND", "OR"]),
        ("Modality Exists a", ["AND"]),
        ("Modality StrEquals CT ", ["AND", "OR"]),
        ("Modality StrEquals CT AND Pat", ["PatientSex"]),
        ("(Modality StrEquals CT) ", ["AND", "OR"]),
    ],
)
def test_what_may_stand_at_the_cursor(text: str, inserts: list[str]) -> None:
    cursor = text.index("|") if "|" in text else len(text)
    found = complete(text.replace("|", ""), cursor, tags, values)
    assert [each.insert for each in found.suggestions] == inserts


def test_a_suggested_value_makes_a_query_that_parses() -> None:
    text = "Modality StrEquals C"
    found = complete(text, len(text), tags, values)
    for each in found.suggestions:
        condition = parse(text[: found.start] + each.insert + text[found.end :])
        assert condition.operands[0] in ("CT", 'CT "x" (y)')
