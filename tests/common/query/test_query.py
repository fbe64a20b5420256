"""The query language: grammar, meaning in memory, text and English."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import QueryError
from common.query import (
    EVERYTHING,
    NOTHING,
    And,
    Condition,
    Not,
    Or,
    all_of,
    any_of,
    describe,
    format_query,
    match,
    parse,
)
from common.query.operators import OPERATORS
from common.tags import parse_tag_path
from tests.helpers.query_cases import CASES, DOCUMENTS, ERRORS


@dataclass
class Document:
    """A source made of a table of texts."""

    elements: dict[str, list[str]]

    def values(self, path):
        return {parse_tag_path(name): values for name, values in self.elements.items()}.get(path)


@pytest.mark.parametrize(("query", "matching"), CASES)
def test_meaning(query, matching):
    node = parse(query)
    assert {name for name, elements in DOCUMENTS.items() if match(node, Document(elements))} == matching


@pytest.mark.parametrize(("query", "position", "message"), ERRORS)
def test_errors_name_the_place(query, position, message):
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert caught.value.position == position
    assert message in str(caught.value)


@pytest.mark.parametrize("query", [case[0] for case in CASES])
def test_written_queries_mean_the_same(query):
    node = parse(query)
    again = parse(format_query(node))
    for elements in DOCUMENTS.values():
        assert match(node, Document(elements)) == match(again, Document(elements))


_paths = st.sampled_from(
    [parse_tag_path(text) for text in ("Modality", "00190040.0019004A", "RequestAttributesSequence.PatientID")]
)


def _operands(operator):
    if operator.kind == "none":
        return st.just(())
    if operator.kind == "number":
        return st.tuples(st.sampled_from(["1", "-0.5", "1e3"]))
    if operator.kind == "date":
        return st.tuples(st.sampled_from(["2024-01-31", "20240131"]))
    texts = st.text(max_size=8)
    return st.lists(texts, min_size=1, max_size=3).map(tuple) if operator.kind == "list" else st.tuples(texts)


_conditions = st.sampled_from(list(OPERATORS.values())).flatmap(
    lambda operator: st.builds(Condition, _paths, st.just(operator.name), _operands(operator))
)
_nodes = st.recursive(
    _conditions,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


@given(_nodes)
def test_writing_and_parsing_gives_the_tree_back(node):
    assert parse(format_query(node)) == node


@given(_nodes)
def test_english_is_never_empty(node):
    assert describe(node)


@given(st.text(max_size=60))
def test_any_text_parses_or_is_an_error_with_a_place(text):
    assert 0 <= error_position(text) <= len(text)


def error_position(text):
    """Return where parsing stops; 0 where it does not."""
    try:
        parse(text)
    except QueryError as exc:
        return exc.position
    return 0


def test_trees_combine():
    ct, mr = parse("Modality StrEquals CT"), parse("Modality StrEquals MR")
    assert all_of([]) == EVERYTHING
    assert any_of([]) == NOTHING
    assert all_of([EVERYTHING, ct]) == ct
    assert any_of([NOTHING, ct]) == ct
    assert any_of([EVERYTHING, ct]) == EVERYTHING
    assert all_of([NOTHING, ct]) == NOTHING
    assert any_of([ct, mr, ct]) == Or((ct, mr))
    assert describe(all_of([ct, any_of([ct, mr])])) == ("Modality is “CT” and (Modality is “CT” or Modality is “MR”)")


def test_deep_and_long_queries_are_refused():
    for query in ("(" * 100 + "Modality Exists" + ")" * 100, "NOT " * 100 + "Modality Exists", "x" * 30_000):
        with pytest.raises(QueryError):
            parse(query)
