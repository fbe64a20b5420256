"""YAML with positions, and the kinds that read it."""

import jsonschema
import pytest

from common.errors import QueryError
from common.yaml_file import MAX_DEPTH, Keyed, Node, Report, Scalar, parse_yaml
from common.yaml_kinds import INVALID, Integer, ListOf, OneOf, Switch, Text
from common.yaml_records import Field, Record, TableOf, Values


def parse(text):
    report = Report("f.yaml")
    return parse_yaml(text, report), report


def problems(text):
    return [str(problem) for problem in parse(text)[1].problems]


def test_nodes_know_where_they_stand():
    root, report = parse("a:\n  - b\n  -   {c: d}\n")
    assert not report.problems
    assert isinstance(root, Keyed)
    key, items = root.entries["a"]
    assert (key.line, key.column, items.line, items.column) == (1, 1, 2, 3)
    assert [(item.line, item.column) for item in items] == [(2, 5), (3, 7)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("00100010", "00100010"),
        ("12:30:00", "12:30:00"),
        ("2024-01-31", "2024-01-31"),
        ("0x10", "0x10"),
        ("no", "no"),
        ("true", True),
        ("False", False),
        ("17", 17),
        ("-1_000", -1000),
        ("1.5", 1.5),
        ("'17'", "17"),
        ("~", None),
        ("''", ""),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_are_taken_as_written(text, value):
    node, report = parse(text)
    assert not report.problems
    assert isinstance(node, Scalar)
    assert node.value == value
    assert type(node.value) is type(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", ["f.yaml:3:1: a stands here a second time (first on line 1)"]),
        ("a: [1, 2\nb: 3\n", ["f.yaml:2:2: not YAML: expected ',' or ']', but got ':'"]),
        ("a: *b\n", ["f.yaml:1:4: not YAML: found undefined alias 'b'"]),
        ("a: 1\n---\nb: 1\n", ["f.yaml:2:1: not YAML: but found another document"]),
        ("? [a]\n: b\n", ["f.yaml:1:3: a key must be text"]),
        (
            "a: !!python/name:os.system x\n",
            ["f.yaml:1:4: the tag tag:yaml.org,2002:python/name:os.system is not allowed here"],
        ),
        ("a: !mine x\n", ["f.yaml:1:4: the tag !mine is not allowed here"]),
        ("a: &x [*x]\n", ["f.yaml:1:4: an alias that holds itself"]),
        ("a: b\x07\n", ["f.yaml:1:5: not YAML: the character U+0007 is not allowed"]),
        (b"a: b\nc: \xff\n", ["f.yaml:2:4: the file must be UTF-8"]),
        ("<<: 3\n", ["f.yaml:1:5: << takes a mapping or a list of mappings"]),
    ],
)
def test_what_cannot_be_parsed_is_reported_with_its_position(text, expected):
    assert problems(text) == expected


def test_an_empty_file_has_no_node_and_no_problem():
    assert parse("# nothing\n") == (None, Report("f.yaml"))


def test_a_byte_order_mark_is_no_problem():
    root, report = parse(b"\xef\xbb\xbfa: 1\n")
    assert isinstance(root, Keyed)
    assert not report.problems


def test_nesting_is_bounded():
    deep = MAX_DEPTH + 1
    assert problems("[" * deep + "]" * deep) == [f"f.yaml:1:{deep}: not YAML: nested deeper than {MAX_DEPTH} levels"]
    assert "nested deeper" in problems("[" * 100_000)[0]


def test_aliases_are_expanded_within_bounds():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert "once its aliases are expanded" in problems(bomb)[0]


def test_size_is_bounded():
    assert "longer than" in problems("#" * 4_000_001)[0]


def test_merge_keys_fill_what_is_absent():
    root, report = parse("base: &b {x: 1, y: 2}\nother:\n  <<: *b\n  y: 3\n")
    assert not report.problems
    other = root.entries["other"][1]
    assert {name: node.value for name, (_, node) in other.entries.items()} == {"y": 3, "x": 1}


def checked(values: Values, report: Report) -> None:
    if values["Number"] == 3:
        report.error(values.at("Number"), "three is too many")


def shout(text: str) -> str:
    if "?" in text:
        raise QueryError("a question", text.index("?"))
    if text == "bad":
        raise ValueError("bad is bad")
    return text.upper()


KIND = Record(
    (
        Field("Name", Text(shout), "A name.", mandatory=True),
        Field("Number", Integer(1, 5), default=2),
        Field("Tags", ListOf(Text(), single=True), default=(), spellings=("OldTags",)),
        Field("Action", OneOf(("Remove", "Empty"))),
        Field("Deep", Switch(), default=False),
        Field("Box", ListOf(Integer(0, 9), minimum=2, maximum=2)),
        Field("Later", Text(), unavailable="not available yet"),
        Field("Table", TableOf(Integer(0, 9))),
    ),
    check=checked,
)


def read(text):
    node, report = parse(text)
    return KIND.read(node, report), report


def test_a_record_is_read_with_defaults():
    values, report = read("Name: ab\nTags: x\nAction: Empty\nDeep: yes\nBox: [1, 2]\nTable: {a: 1}\n")
    assert report.problems == []
    assert values == {
        "Name": "AB", "Number": 2, "Tags": ("x",), "Action": "Empty", "Deep": True, "Box": (1, 2),
        "Later": None, "Table": {"a": 1},
    }  # fmt: skip
    assert values.at("Box") == values.node.entries["Box"][1]
    assert [(node.line, node.column) for node in values.items_at("Box")] == [(5, 7), (5, 10)]
    assert values.items_at("Tags") == (values.at("Tags"),)
    assert values.items_at("Later") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nmae: ab", ["f.yaml:1:1: Nmae: unknown key (did you mean Name?)", "f.yaml:1:1: Name is missing"]),
        ("[]", ["f.yaml:1:1: expected keys and values, found a list"]),
        ("Name:", ["f.yaml:1:6: expected text, found nothing"]),
        ("Name: ''", ["f.yaml:1:7: expected text, found an empty text"]),
        ("Name: {}", ["f.yaml:1:7: expected text, found keys and values"]),
        ("Name: bad", ["f.yaml:1:7: bad is bad"]),
        ("Name: why?", ["f.yaml:1:10: a question"]),
        ("Name: 'why?'", ["f.yaml:1:11: a question"]),
        ("Name: |\n  why?\n", ["f.yaml:1:7: a question"]),
        ("Name: a\nNumber: 9", ["f.yaml:2:9: expected a whole number from 1 to 5"]),
        ("Name: a\nNumber: '2'", ["f.yaml:2:9: expected a whole number from 1 to 5"]),
        ("Name: a\nNumber: true", ["f.yaml:2:9: expected a whole number from 1 to 5"]),
        ("Name: a\nNumber: 3", ["f.yaml:2:9: three is too many"]),
        ("Name: a\nOldTags: [b]", ["f.yaml:2:1: warning: OldTags is an older spelling of Tags"]),
        (
            "Name: a\nTags: b\nOldTags: [b]",
            [
                "f.yaml:3:1: warning: OldTags is an older spelling of Tags",
                "f.yaml:3:1: OldTags and Tags are the same key",
            ],
        ),
        ("Name: a\nTags: [b, {c: d}]", ["f.yaml:2:11: expected text, found keys and values"]),
        ("Name: a\nAction: remove", ["f.yaml:2:9: expected one of Remove, Empty (did you mean Remove?)"]),
        ("Name: a\nAction: []", ["f.yaml:2:9: expected one of Remove, Empty, found a list"]),
        ("Name: a\nDeep: 1", ["f.yaml:2:7: expected true or false"]),
        ("Name: a\nBox: [1]", ["f.yaml:2:6: expected 2 of a whole number from 0 to 9, found 1"]),
        ("Name: a\nBox: 1", ["f.yaml:2:6: expected a list, found a single value"]),
        ("Name: a\nLater: x", ["f.yaml:2:1: Later: not available yet"]),
        ("Name: a\nTable: []", ["f.yaml:2:8: expected names and values, found a list"]),
        ("Name: a\nTable: {b: c}", ["f.yaml:2:12: expected a whole number from 0 to 9"]),
        (
            "Name: bad\nNumber: 9\nX: 1",
            ["f.yaml:1:7: bad is bad", "f.yaml:2:9: expected a whole number from 1 to 5", "f.yaml:3:1: X: unknown key"],
        ),
    ],
)
def test_every_problem_of_a_record_is_reported(text, expected):
    _, report = read(text)
    assert sorted(map(str, report.problems)) == sorted(expected)


def test_a_record_without_its_mandatory_key_is_invalid():
    assert read("Number: 1")[0] is INVALID
    assert read("Name: bad")[0] is INVALID
    assert not INVALID
    assert repr(INVALID) == "INVALID"


def test_errors_and_warnings_are_listed_in_file_order_without_doubles():
    report = Report("f.yaml")
    report.error(Node(2, 1), "b")
    report.error(Node(1, 1), "a")
    report.error(Node(1, 1), "a")
    report.warn(None, "c")
    assert [problem.message for problem in report.errors] == ["a", "b"]
    assert [str(problem) for problem in report.warnings] == ["f.yaml: warning: c"]


@pytest.mark.parametrize(
    ("document", "legal"),
    [
        ({"Name": "a", "Number": 5, "Tags": ["x"], "Action": "Remove", "Deep": True, "Box": [1, 2]}, True),
        ({"Name": "a", "OldTags": "x", "Table": {"a": 1}}, True),
        ({"Number": 5}, False),
        ({"Name": "a", "Number": 6}, False),
        ({"Name": "a", "Box": [1]}, False),
        ({"Name": "a", "Nmae": "b"}, False),
        ({"Name": "a", "Later": "b"}, False),
        ({"Name": "a", "Action": "remove"}, False),
    ],
)
def test_the_schema_accepts_what_the_kind_accepts(document, legal):
    validator = jsonschema.Draft202012Validator(KIND.schema())
    assert validator.is_valid(document) is legal
