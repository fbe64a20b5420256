"""The manual's page about the query language says what is true."""

from __future__ import annotations

import re

import pytest

from common.errors import QueryError
from common.query import format_query, parse
from common.query.operators import OPERATORS
from common.query.parser import MAX_CONDITIONS, MAX_DEPTH


@pytest.fixture
def manual(root) -> str:
    return (root / "doc/reference/query-language.md").read_text()


def blocks(manual: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", manual, re.MULTILINE | re.DOTALL)


def test_examples_parse(manual) -> None:
    queries = [line for block in blocks(manual, "query") for line in block.splitlines()]
    assert len(queries) >= 5
    for query in queries:
        assert parse(format_query(parse(query))) == parse(query)


def test_errors_are_as_shown(manual) -> None:
    for block in blocks(manual, "error"):
        query, message = block.splitlines()
        with pytest.raises(QueryError, match=re.escape(message)):
            parse(query)


def test_every_operator_and_limit_is_there(manual) -> None:
    assert [name for name in OPERATORS if f"`{name}`" not in manual] == []
    assert f"{MAX_CONDITIONS} conditions" in manual
    assert f"{MAX_DEPTH} parentheses" in manual
