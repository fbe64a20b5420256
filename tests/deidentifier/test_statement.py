"""The statement says what the rules do, in a form that people read."""

from html.parser import HTMLParser

import pytest

from deidentifier.commands import statement as command
from deidentifier.profiles.tables import read_rows
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES
from deidentifier.statement import as_html, as_markdown, as_text, make_statement


@pytest.fixture(scope="module")
def blocks():
    return make_statement(load_rules(DEFAULT_RULES.read_bytes()))


def test_it_names_options_exceptions_rules_and_every_attribute(blocks):
    text = as_markdown(blocks)
    for words in ("RetainLongitudinalModifiedDates: All dates", "Exempt from the profile (KeepTags): */ReferencedImage",
                  "Replaces the values of PatientID by random text", "is kept back for a person", "Faces are not",
                  "PS3.15 Annex E, edition 2026c", "Encapsulated documents"):  # fmt: skip
        assert words in text
    for row in read_rows():
        assert f"| ({row.tag[:4]},{row.tag[4:]}) | {row.keyword or '–'} | {row.basic} |" in text
    assert "| (0008,0020) | StudyDate | Z | C | moved with all dates of the patient |" in text
    assert "| (0008,0030) | StudyTime | Z | C | kept with its date, which moves |" in text
    assert "| (0008,1030) | StudyDescription | X | C | cleaned: harmless words stay |" in text
    decides = "the rule RandomizeText decides; where it changes nothing: emptied"
    assert f"| (0010,0010) | PatientName | Z | Z | {decides} |" in text


def test_without_a_profile_it_says_so():
    rules = load_rules(
        "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n  - Scope: {Labels: ALL}\n"
        "    DeleteTags: [{TagPatterns: PatientName, Action: Remove}]\n"
    )
    text = as_text(make_statement(rules))
    assert "No confidentiality profile is in force" in text
    assert "is sent on and reported" in text
    assert "Removes PatientName." in text


def test_the_page_is_well_formed(blocks):
    opened = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Parser().feed(as_html(blocks))
    assert opened == []


def test_the_command_writes_a_page(tmp_path, monkeypatch):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["--output", str(tmp_path / "statement.html")])) == 0
    assert (tmp_path / "statement.html").read_text().startswith("<!doctype html>")
