"""The manual's page of rules and the JSON Schema are what the declarations say, and what the validator does."""

import copy
import importlib.util
import json
import re

import jsonschema
import pytest
import yaml

from common.errors import RulesError
from deidentifier.rules_file import json_schema, load_rules
from deidentifier.settings import DEFAULT_RULES
from deidentifier.transformations import TRANSFORMATIONS

# What only the validator knows: names that refer to each other, DICOM's dictionary, keys that depend on one another.
ONLY_THE_VALIDATOR = re.compile(
    "there is no such|no such keyword|no such VR|matches no keyword|not legal|inside out|share one offset|"
    "is defined a second time|needs no definition|PreserveIntervals needs|Manual needs|cannot become|"
    "are the same key|transfer syntax|UID root|expected a keyword|expected an operator|expected a condition"
)


@pytest.fixture(scope="module")
def reference(root):
    spec = importlib.util.spec_from_file_location("rules_reference", root / "doc" / "rules_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def test_the_example_of_the_how_to_page_loads(root):
    page = (root / "doc" / "how-to" / "write-and-test-rules.md").read_text()
    example, entry = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    load_rules(f"Labels: []\nScopeToForward: {{Labels: ALL}}\nTransformations:\n{entry}")
    rules = load_rules(example)
    assert [warning.message for warning in rules.warnings if "profile" not in warning.message] == []


@pytest.fixture(scope="module")
def version_1(root):
    return (root / "tests" / "deidentifier" / "data" / "version-1.yaml").read_text()


def test_the_page_is_what_the_declarations_say(reference):
    assert reference.PAGE.read_text() == reference.render(), "run make docs"


def test_the_published_schema_is_what_the_declarations_say(reference):
    assert reference.SCHEMA.read_text() == reference.render_schema(), "run make docs"


def test_every_transformation_and_key_is_on_the_page(reference):
    page = reference.PAGE.read_text()
    for cls in TRANSFORMATIONS:
        section = page.split(f"### {cls.NAME}\n")[1].split("\n## ")[0]
        assert all(f"`{each.name}`" in section for each in cls.fields())


def test_the_links_of_the_page_lead_somewhere(reference):
    for target in re.findall(r"\]\(([^)]+)\)", reference.PAGE.read_text()):
        assert (reference.PAGE.parent / target).exists(), target


def test_the_schema_accepts_files_that_load(validator, version_1):
    for text in (version_1, DEFAULT_RULES.read_text()):
        load_rules(text)
        assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []


def spots(value, path=()):
    """Yield the path of every value in a document."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from spots(child, (*path, key))


def holder(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


def mutants(document):
    """Yield copies of a document, each wrong (or perhaps not) at one place."""
    for path in list(spots(document)):
        if not path:
            continue
        for wrong in (None, "x", 7, [], {"x": "y"}):
            mutant = copy.deepcopy(document)
            holder(mutant, path)[path[-1]] = wrong
            yield mutant
        removed = copy.deepcopy(document)
        del holder(removed, path)[path[-1]]
        yield removed
        if isinstance(path[-1], str):
            renamed = copy.deepcopy(document)
            parent = holder(renamed, path)
            parent[path[-1] + "s"] = parent.pop(path[-1])
            yield renamed


def test_schema_and_validator_agree_on_every_change_to_a_file(validator, version_1):
    document = yaml.safe_load(version_1)
    count = 0
    for mutant in mutants(document):
        count += 1
        text = json.dumps(mutant)  # JSON is YAML; what is text stays text
        try:
            load_rules(text)
            messages = []
        except RulesError as exc:
            messages = [problem.message for problem in exc.problems]
        if validator.is_valid(mutant):
            assert [m for m in messages if not ONLY_THE_VALIDATOR.search(m)] == [], text
        else:
            assert messages, text
    assert count > 500
