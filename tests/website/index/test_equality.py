"""The two meanings of a query agree: SQL finds exactly the instances that the predicate accepts."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from common.errors import QueryError
from common.query import And, Condition, Node, Not, Or, all_of, match, parse
from common.query.operators import OPERATORS
from common.tags import parse_tag_path
from tests.helpers.index_documents import flat_document, make_document
from tests.helpers.query_cases import CASES, DOCUMENTS, RICH, RICH_CASES
from website.index import Index, IndexDocument

# Few paths and few values, so that conditions hold about as often as not, and series are mixed at every path.
PATHS = ("Modality", "SOPInstanceUID", "MediaStorageSOPInstanceUID", "Rows", "ReferencedStudySequence.Modality",
         "ReferencedStudySequence", "00190010", "StudyDate")  # fmt: skip
TEXTS = ("", "CT", "ct", "5", "5.0", "-0.5", "+05", "1e3", "1e400", "nan", "20240131", "20240131120000.5", "20240231",
         "a%b_c", "a*b", "\\", "'", '"', "straße", "STRASSE", "İ", "x y", "1.2.3", "long" * 900, "line\nline", "(item)",
         "0001", " 7 ", "٣", "-0", "2024.01.31", "999999999999999999", "null", "{}", "$[*]")  # fmt: skip
PATTERNS = (*TEXTS, "*", "C*", "*t", "*%*", "a*c", "*straS*", "**", "1.2.*", "*\\*", "", "l*g*", "?", "_", "%")
NUMBERS = ("5", "-0.5", "1000", "0", "7", "1e400", "20240131", "999999999999999999", "1.2e-5")
DAYS = ("2024-01-31", "20240201", "2024-01-30", "1999-12-31")


def holding(index: Index, node: Node) -> set[str]:
    return {hit.ids.instance for hit in index.instances(node)}


def accepted(documents: list[IndexDocument], node: Node) -> set[str]:
    return {document.ids.instance for document in documents if match(node, document)}


def random_documents(rng: random.Random, count: int) -> list[IndexDocument]:
    documents = []
    for number in range(count):
        texts = {
            path: rng.choices(TEXTS, k=rng.choice((0, 1, 1, 1, 1, 2, 3)))
            for path in PATHS
            if rng.random() < 0.75 and path != "ReferencedStudySequence"
        }
        if rng.random() < 0.7 and "SOPInstanceUID" in texts:
            texts["MediaStorageSOPInstanceUID"] = texts["SOPInstanceUID"]
        series = rng.randrange(4)
        if rng.random() < 0.5 and documents:
            texts.update(Modality=["CT"], Rows=["5"])
        documents.append(make_document(f"{number}", texts, series=str(series), study=str(series // 2)))
    return documents


def random_condition(rng: random.Random) -> Condition:
    operator = rng.choice(list(OPERATORS.values()))
    operands: tuple[str, ...] = {
        "none": lambda: (),
        "text": lambda: (rng.choice(PATTERNS),),
        "number": lambda: (rng.choice([n for n in NUMBERS if n != "1e400"]),),
        "date": lambda: (rng.choice(DAYS),),
        "list": lambda: tuple(rng.choices(PATTERNS, k=rng.randint(1, 4))),
    }[operator.kind]()
    return Condition(parse_tag_path(rng.choice((*PATHS, "Columns"))), operator.name, operands)


def random_query(rng: random.Random, depth: int = 3) -> Node:
    kind = rng.random()
    if depth == 0 or kind < 0.45:
        return random_condition(rng)
    if kind < 0.6:
        return Not(random_query(rng, depth - 1))
    parts = tuple(random_query(rng, depth - 1) for _ in range(rng.randint(0 if rng.random() < 0.1 else 1, 3)))
    return And(parts) if kind < 0.8 else Or(parts)


PAIRS = 20_000
_EXAMPLES, _DOCUMENTS, _QUERIES = 8, 70, 36


def test_there_are_enough_pairs() -> None:
    assert _EXAMPLES * _DOCUMENTS * _QUERIES >= PAIRS


def test_sql_and_predicate_agree(make_index) -> None:
    index = make_index()
    pairs = 0

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
    )
    @given(st.integers(0, 2**32))
    def agree(seed: int) -> None:
        nonlocal pairs
        rng = random.Random(seed)
        documents = random_documents(rng, _DOCUMENTS)
        index.remove(list(index.instance_ids()))
        index.add(documents[: _DOCUMENTS // 2])
        index.add(documents)  # the first half is replaced
        gone = rng.sample(documents, 4)
        index.remove(document.ids.instance for document in gone)
        index.add(gone)
        for document in documents[:3]:
            assert index.document(document.ids.instance).elements == document.elements
        for _ in range(_QUERIES):
            node = random_query(rng)
            expected = accepted(documents, node)
            assert holding(index, node) == expected, node
            pairs += len(documents)
        counts = index.count(node)
        series = {d.ids.series for d in documents if d.ids.instance in expected}
        assert (counts.series, counts.instances) == (len(series), len(expected)), node

    agree()
    assert pairs >= PAIRS


def test_facets_agree(make_index) -> None:
    index, rng = make_index(), random.Random(4)
    documents = random_documents(rng, 40)
    index.add(documents)
    for _ in range(20):
        node = random_query(rng)
        found = index.facets(node, ["Modality", "Rows", "ReferencedStudySequence.Modality"], 100)
        for tag, values in found.items():
            counted: dict[str, int] = {}
            for document in documents:
                if match(node, document):
                    for text in set(document.values(parse_tag_path(str(tag))) or ()):
                        counted[text] = counted.get(text, 0) + 1
            assert {each.value: each.instances for each in values} == counted


@pytest.mark.parametrize("together", [True, False])
def test_hand_written_cases(make_index, together: bool) -> None:
    """The shared table, in one series (all mixed) and in a series each (none mixed)."""
    index = make_index()
    named = {**DOCUMENTS, "rich": RICH}
    documents = {name: flat_document(name, texts, series="1" if together else name) for name, texts in named.items()}
    index.add(documents.values())
    for query, names in CASES:
        found = holding(index, parse(query)) - {documents["rich"].ids.instance}
        assert found == {documents[name].ids.instance for name in names}, query
    for query, holds in RICH_CASES:
        assert (documents["rich"].ids.instance in holding(index, parse(query))) is holds, query


PERMITTED = "Modality StrEquals CT"
BYPASSES = ("A Exists) OR (B Exists", "Rows Exists) OR (Rows Exists",
            "Modality Exists) OR (Modality Exists OR Rows Exists",
            'Modality StrEquals "x\') OR TRUE --"', "Modality StrEquals x' OR '1'='1", "Modality StrEquals %s",
            "Modality StrEquals \ud800", "Modality StrEquals a\0b", "Rows NbEquals 1e999",
            "Modality StrEquals \\")  # fmt: skip


@pytest.fixture
def guarded(index) -> tuple[Index, set[str]]:
    """Give an index of CT and other instances, in common series too, and which of them are CT."""
    rng = random.Random(1)
    documents = random_documents(rng, 30)
    index.add(documents)
    return index, accepted(documents, parse(PERMITTED))


def inside(guarded: tuple[Index, set[str]], text: str) -> bool:
    """Search as a user who may see CT alone; tell whether the text was a query."""
    index, permitted = guarded
    node = parses(text)
    if node is None:
        return False
    assert holding(index, all_of([parse(PERMITTED), node])) <= permitted, text
    return True


@pytest.mark.parametrize("text", BYPASSES)
def test_known_bypasses_stay_inside(guarded, text) -> None:
    inside(guarded, text)


def test_no_text_escapes(guarded) -> None:
    """50,000 strings: words of the language in any order, mutated queries, and anything at all."""
    rng = random.Random(20261123)
    words = [*PATHS, *OPERATORS, *PATTERNS[:20], "AND", "OR", "NOT", "(", ")", '"', ",", "*", "Modality Exists", "5",
             "'", "--", ";", "%s", "\\", "\0", "A Exists) OR (B Exists", "$1", "{", "}"]  # fmt: skip
    searched = 0
    for number in range(50_000):
        kind = number % 3
        if kind == 0:
            text = " ".join(rng.choices(words, k=rng.randint(1, 9)))
        elif kind == 1:
            text = list(rng.choice(CASES + RICH_CASES)[0] or " ")
            for _ in range(rng.randint(1, 3)):
                text[rng.randrange(len(text))] = rng.choice("()\"\\'* %,;ANDOR\0é")
            text = "".join(text)
        else:
            text = "".join(
                chr(rng.choice((rng.randrange(32, 127), rng.randrange(0xD7FF)))) for _ in range(rng.randint(0, 12))
            )
        if searched < 300 or number % 100 == 0:
            searched += inside(guarded, text)
        else:
            parses(text)
    assert searched >= 300


def parses(text: str) -> Node | None:
    """Parse; whatever the text, it is a query or an error with a place in it."""
    position = 0
    try:
        return parse(text)
    except QueryError as exc:
        position = exc.position
    assert 0 <= position <= len(text)
    return None
