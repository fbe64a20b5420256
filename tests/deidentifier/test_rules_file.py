"""Reading rules files: what they mean, and every problem of theirs at its place."""

import hashlib
from pathlib import Path

import pytest

from common.errors import RulesError
from common.query import EVERYTHING, parse
from deidentifier.rules import ALL, Scope
from deidentifier.rules_file import load_rules
from deidentifier.transformations import TRANSFORMATIONS

VERSION_1 = Path(__file__).with_name("data") / "version-1.yaml"

FRAME = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n"
NO_PROFILE = (
    "r:1:1: warning: no confidentiality profile is in force: what these rules do not name is sent on as it came"
)


def problems(text):
    """Return the errors of a file, or, where there are none, its warnings but that about the profile."""
    try:
        rules = load_rules(text, "r")
    except RulesError as exc:
        return [str(problem) for problem in exc.problems]
    return [str(problem) for problem in rules.warnings if str(problem) != NO_PROFILE]


def rule(text):
    """Return a file of one entry: ``text`` stands under it, from line 5, column 1 on."""
    return FRAME + "".join(f"  {line}\n" for line in text.splitlines())


def test_the_smallest_file():
    rules = load_rules("Labels: []\nScopeToForward: {Labels: ALL}\nTransformations: []\n", "r")
    assert (rules.labels, rules.entries, rules.on_leak) == ((), (), None)
    assert rules.scope_to_forward == Scope(frozenset({ALL}), frozenset())
    assert [str(warning) for warning in rules.warnings] == [NO_PROFILE]


def test_the_digest_is_that_of_the_bytes():
    data = b"\xef\xbb\xbfLabels: []\nScopeToForward: {Labels: ALL}\nTransformations: []\n"
    assert load_rules(data).sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_of_version_1_loads():
    rules = load_rules(VERSION_1.read_bytes(), "r")
    assert [label.name for label in rules.labels] == ["CT", "CTChest", "Everything", "Unfiltered", "Vendor"]
    assert rules.labels[0].node == parse("Modality StrEquals CT")
    assert rules.labels[0].text == "Modality StrEquals CT"
    assert rules.labels[2].node == rules.labels[3].node == EVERYTHING
    assert rules.scope_to_forward == Scope(frozenset({"CT", "Everything"}), frozenset({"Vendor", "Unfiltered"}))
    first, second = rules.entries
    assert [type(each).__name__ for each in first.transformations] == [
        "ShiftDateTime", "ShiftDateTime", "RandomizeText", "RandomizeUID", "AddTags", "AddTags", "DeleteTags",
        "DeleteTags",
    ]  # fmt: skip
    assert first.transformations[3].prefix_uid == "1.2.826.0.1."
    assert str(first.transformations[3].except_tag_patterns[0]) == "*/*ClassUID"
    assert first.transformations[2].split == "^"
    assert first.transcode is None
    assert second.scope == Scope(frozenset({"CT", "CTChest"}), frozenset({"Vendor"}))
    assert second.transcode == "1.2.840.10008.1.2.4.90"
    assert second.transformations[0].box_coordinates == ((0, 0, 512, 40),)
    assert (first.line, second.line) == (22, 54)


def test_a_file_of_version_1_is_told_its_older_spellings():
    warnings = [str(warning) for warning in load_rules(VERSION_1.read_bytes(), "r").warnings]
    assert [warning for warning in warnings if "older spelling" in warning] == [
        "r:19:3: warning: NotCategories is an older spelling of ExceptCategories",
        "r:20:3: warning: NotLabels is an older spelling of ExceptLabels",
        "r:29:9: warning: NotTagPatterns is an older spelling of ExceptTagPatterns",
        "r:38:9: warning: NotTagPatterns is an older spelling of ExceptTagPatterns",
        "r:39:9: warning: Prefix is an older spelling of PrefixUID",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["r:1:1: the file is empty"]),
        ("- a", ["r:1:1: expected Labels, ScopeToForward and Transformations, found a list"]),
        ("a: [", ["r:1:5: not YAML: expected the node content, but found '<stream end>'"]),
        (
            "Label: []",
            [
                "r:1:1: Label: unknown key (did you mean Labels?)",
                "r:1:1: Labels is missing",
                "r:1:1: ScopeToForward is missing",
                "r:1:1: Transformations is missing",
            ],
        ),
        (
            "Labels:\nScopeToForward: ALL\nTransformations: {}\n",
            [
                "r:1:8: expected a list, found nothing",
                "r:2:17: expected a scope with Labels, ExceptLabels, Categories, ExceptCategories, "
                "found a single value",
                "r:3:18: expected a list, found keys and values",
            ],
        ),
    ],
)
def test_a_file_that_is_wrong_as_a_whole(text, expected):
    assert problems(text) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("[{Nam: A}]", ["r:1:11: Name is missing", "r:1:12: Nam: unknown key (did you mean Name?)"]),
        ("[A]", ["r:1:11: expected a label with its Name, found a single value"]),
        ("[{Name: ALL}]", ["r:1:18: ALL is the label of every instance, it needs no definition"]),
        ("[{Name: A}, {Name: A}]", ["r:1:29: the label A is defined a second time"]),
        (
            "[{Name: A, DICOMQueryFiltr: x}]",
            ["r:1:21: DICOMQueryFiltr: unknown key (did you mean DICOMQueryFilter?)"],
        ),
        ("[{Name: A, DICOMQueryFilter: }]", ["r:1:38: expected a query, found nothing"]),
        ("[{Name: A}]", ["r:1:18: warning: nothing uses the label A"]),
    ],
)
def test_labels(labels, expected):
    text = f"Labels:  {labels}\nScopeToForward: {{Labels: ALL}}\nTransformations: []\n"
    assert problems(text) == expected


def test_a_query_is_reported_at_the_character_it_fails_at():
    query = "Modality StrEquals CT AND StudyDescripton Exists"
    text = f"Labels:\n- Name: A\n  DICOMQueryFilter: {query}\nScopeToForward: {{Labels: A}}\nTransformations: []\n"
    (problem,) = problems(text)
    column = len("  DICOMQueryFilter: ") + query.index("StudyDescripton") + 1
    assert problem.startswith(f"r:3:{column}: StudyDescripton: no such keyword")
    assert "did you mean StudyDescription?" in problem


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("{Labels: CT}", []),
        ("{Labels: [CT, ALL], ExceptLabels: MR}", []),
        ("{Categories: Both}", []),
        ("{Label: CT}", ["r:5:17: this scope", "r:5:18: Label: unknown key (did you mean Labels?)"]),
        ("{Labels: CTT}", ["r:5:26: CTT: there is no such label (did you mean CT?)"]),
        ("{Labels: Both}", ["r:5:26: Both: there is no such label"]),
        ("{Categories: [Bth]}", ["r:5:31: Bth: there is no such category (did you mean Both?)"]),
        ("{Labels: [CT, {}]}", ["r:5:31: expected text, found keys and values"]),
        ("{NotLabels: MR, ExceptLabels: CT}", ["r:5:18: NotLabels and ExceptLabels are the same key"]),
        ("{ExceptLabels: [CT, MR]}", ["r:5:17: warning: this scope names no Labels and no Categories"]),
    ],
)
def test_scopes(scope, expected):
    text = (
        "Labels: [{Name: CT}, {Name: MR}]\n"
        "Categories:\n"
        "- Name: Both\n"
        "  Labels: [CT, MR]\n"
        f"ScopeToForward: {scope}\n"
        "Transformations: []\n"
    )
    found = [problem for problem in problems(text) if "nothing uses" not in problem]
    if any(": warning" not in line for line in expected):
        expected = [line for line in expected if "this scope" not in line]
    assert len(found) == len(expected)
    assert all(problem.startswith(line) for problem, line in zip(found, expected, strict=True)), found


def test_categories():
    text = (
        "Labels: [{Name: CT}]\n"
        "Categories:\n"
        "- {Name: A, Labels: CTT}\n"
        "- {Name: A, Labels: CT}\n"
        "- {Name: B}\n"
        "ScopeToForward: {Labels: CT}\n"
        "Transformations: []\n"
    )
    assert problems(text) == [
        "r:3:21: CTT: there is no such label (did you mean CT?)",
        "r:4:10: the category A is defined a second time",
        "r:5:3: Labels is missing",
    ]


@pytest.mark.parametrize(
    ("labels", "in_scope"),
    [({"ALL"}, False), ({"ALL", "A"}, True), ({"ALL", "A", "B"}, True), ({"ALL", "A", "C"}, False), ({"C"}, False)],
)
def test_an_exclusion_always_wins(labels, in_scope):
    assert Scope(frozenset({"A", "B"}), frozenset({"C"})).holds(labels) is in_scope


PATTERNS = "TagPatterns: PatientName, "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # unknown names
        ("DeleteTag: []", ["r:5:3: DeleteTag: unknown key (did you mean DeleteTags?)"]),
        ("Shiftdatetime: []", ["r:5:3: Shiftdatetime: unknown key (did you mean ShiftDateTime?)"]),
        ("DeleteTags: [{TagPattern: PatientName, Action: Remove}]", [
            "r:5:16: TagPatterns is missing",
            "r:5:17: TagPattern: unknown key (did you mean TagPatterns?)",
        ]),
        ("DeleteTags: {}", ["r:5:15: expected a list, found keys and values"]),
        ("DeleteTags: [PatientName]", ["r:5:16: expected the keys of DeleteTags, found a single value"]),
        # patterns
        ("DeleteTags: [{TagPatterns: [], Action: Remove}]", [
            "r:5:30: expected at least 1 of a tag pattern, found 0",
        ]),
        ("DeleteTags: [{TagPatterns: PatientNam, Action: Remove}]", [
            "r:5:30: PatientNam: no such keyword, did you mean PatientName?",
        ]),
        ("DeleteTags: [{TagPatterns: ['{QQ}', 0010], Action: Remove}]", [
            "r:5:31: {QQ}: no such VR",
            "r:5:39: 0010: no such keyword",
        ]),
        ("DeleteTags: [{TagPatterns: '0028{A}XX', Action: Remove}]", ["r:5:30: 0028{…}: a private group is odd"]),
        ("DeleteTags: [{TagPatterns: Xyz*, Action: Remove}]", ["r:5:30: Xyz*: matches no keyword"]),
        # keys of each transformation
        ("DeleteTags: [{" + PATTERNS + "Action: Delete}]", ["r:5:51: expected one of Remove, Empty"]),
        ("DeleteTags: [{" + PATTERNS + "}]", ["r:5:16: Action is missing"]),
        ("ShiftDateTime: [{" + PATTERNS + "ShiftBy: 0}]", [
            "r:5:55: expected a whole number from 1 to 10000000000",
        ]),
        ("ShiftDateTime: [{" + PATTERNS + "ShiftBy: a}]", [
            "r:5:55: expected a whole number from 1 to 10000000000",
        ]),
        ("ShiftDateTime: [{" + PATTERNS + "ShiftBy: 1, ReuseMapping: SamePatien}]", [
            "r:5:72: expected one of Always, SamePatient, SameStudy, SameSeries, SameInstance "
            "(did you mean SamePatient?)",
        ]),
        ("ShiftDateTime: [{" + PATTERNS + "ShiftBy: 1, PreserveIntervals: true}]", [
            "r:5:77: PreserveIntervals needs ReuseMapping",
        ]),
        ("RandomizeText: [{TagPatterns: StudyInstanceUID}]", [
            "r:5:33: StudyInstanceUID: a UID cannot become random text, use RandomizeUID",
        ]),
        ("RandomizeText: [{TagPatterns: [0020000D, RequestAttributesSequence]}]", [
            "r:5:34: 0020000D: a UID cannot become random text, use RandomizeUID",
            "r:5:44: RequestAttributesSequence: a sequence cannot become random text, use DeleteTags",
        ]),
        ("RandomizeText: [{" + PATTERNS + "Split: ''}]", ["r:5:53: expected text, found an empty text"]),
        ("RandomizeText: [{" + PATTERNS + "IgnoreCase: 1}]", ["r:5:58: expected true or false"]),
        ("RandomizeUID: [{TagPatterns: '*/{UI}', PrefixUID: 1.02.}]", [
            "r:5:53: expected a UID root of at most 40 characters: digits and dots, as 1.2.826.0.1.",
        ]),
        ("AddTags: [{Tag: PatientNam, VR: PN, Value: x}]", [
            "r:5:19: PatientNam: no such keyword, did you mean PatientName?",
        ]),
        ("AddTags: [{Tag: 'PatientName[0]', VR: PN, Value: x}]", [
            "r:5:19: PatientName[0]: an item number stands only behind a sequence",
        ]),
        ("AddTags: [{Tag: PatientName.PatientID, VR: LO, Value: x}]", ["r:5:19: PatientName: not a sequence"]),
        ("AddTags: [{Tag: TransferSyntaxUID, VR: UI, Value: '1.2'}]", [
            "r:5:19: TransferSyntaxUID: not an element of the data set",
        ]),
        ("AddTags: [{Tag: PatientID, VR: XX, Value: x}]", None),
        (
            "AddTags: [{Tag: PatientID, VR: LO, Value: x, Overwrite: true}]",
            ["r:5:48: Overwrite: unknown key (did you mean OverwriteIfExists?)"],
        ),
        ("AddTags: [{Tag: StudyDate, VR: DA, Value: 2024-01-31}]", ["r:5:45: the value is not legal for DA"]),
        ("AddTags: [{Tag: Rows, VR: US, Value: 70000}]", ["r:5:40: the value is not legal for US"]),
        ("AddTags: [{Tag: PatientID, VR: LO, Value: " + "x" * 65 + "}]", ["r:5:45: the value is not legal for LO"]),
        ("AddTags: [{Tag: PatientID, VR: LO, Value: {}}]", ["r:5:45: expected text, found keys and values"]),
        ("AddTags: [{Tag: PatientID, VR: SH, Value: x}]", [
            "r:5:34: warning: PatientID has the VR LO in the standard, not SH",
        ]),
        ("RemoveBurnedInAnnotations: [{Type: Manual}]", ["r:5:31: Type: Manual needs BoxCoordinates"]),
        ("RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[5, 0, 5, 9], [0, 1, 2]]}]", [
            "r:5:63: the box is inside out: left must be less than right",
            "r:5:77: expected 4 of a whole number from 0 to 65535, found 3",
        ]),
        ("RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[0, 9, 5, 9]]}]", [
            "r:5:63: the box is inside out: top must be less than bottom",
        ]),
        ("RemoveBurnedInAnnotations: [{Type: Automatic}]", ["r:5:38: expected one of Manual, OCR"]),
        ("Transcode: 1.2.3", None),
        ("Transcode: [1]", ["r:5:14: expected a transfer syntax UID, found a list"]),
    ],
)  # fmt: skip
def test_every_problem_of_a_rule_has_its_place(text, expected):
    found = problems(rule(text))
    if expected is None:
        (problem,) = found
        assert problem.startswith(("r:5:14: 1.2.3: ", "r:5:34: expected one of AE"))
    else:
        assert found == expected


def test_all_problems_are_reported_at_once_and_in_file_order():
    text = (
        "Labels: [{Name: A, DICOMQueryFilter: Modalty Exists}]\n"
        "ScopeToForward: {Labels: B}\n"
        "Transformations:\n"
        "- Scope: {Categories: C}\n"
        "  DeleteTags: [{TagPatterns: PatientNam, Action: Remove}]\n"
        "  Transcod: 1.2\n"
        "- Scop: {}\n"
    )
    places = [problem.split(": ")[0] for problem in problems(text)]
    assert places == ["r:1:38", "r:2:26", "r:4:23", "r:5:30", "r:6:3", "r:7:3", "r:7:3"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Options: [RetainUIDs]", "5:3: Options needs Profile: Basic beside it"),
        ("KeepTags: [{TagPatterns: PatientSex}]", "5:3: KeepTags needs Profile: Basic beside it"),
        ("Profile: Full", "5:12: expected one of Basic"),
        ("Profile: Basic\nOptions: [RetainUID]",
         "6:13: RetainUID: no option of the profile (did you mean RetainUIDs?)"),
        ("Profile: Basic\nKeepTags: [{ExceptTagPatterns: PatientSex}]", "6:14: TagPatterns is missing"),
        ("Profile: Basic\nKeepTags: [{TagPatterns: PatientSx}]",
         "6:28: PatientSx: no such keyword, did you mean PatientSex?"),
    ],
)  # fmt: skip
def test_slips_in_the_keys_of_the_profile(text, found):
    assert problems(rule(text)) == [f"r:{found}"]


def test_disguising_faces_is_refused_with_the_reason():
    (problem,) = problems(rule("Profile: Basic\nOptions: [CleanRecognizableVisualFeatures]"))
    assert "r:6:13: CleanRecognizableVisualFeatures is not available: no method" in problem


def test_dates_cannot_be_kept_and_moved():
    (problem,) = problems(
        rule("Profile: Basic\nOptions: [RetainLongitudinalFullDates, RetainLongitudinalModifiedDates]")
    )
    assert "exclude each other" in problem


def test_keep_tags_is_warned_of():
    rules = load_rules(rule("Profile: Basic\nKeepTags: [{TagPatterns: PatientSex}]"), "r")
    assert [str(warning) for warning in rules.warnings if "KeepTags" in str(warning)] == [
        "r:5:1: warning: KeepTags exempts elements from the profile: PatientSex"
    ]
    assert not any("no confidentiality profile" in str(warning) for warning in rules.warnings)


def shift(patterns, shift_by, more=""):
    return f"- {{TagPatterns: '{patterns}', ShiftBy: {shift_by}{more}}}"


@pytest.mark.parametrize(
    ("patterns", "more", "cause"),
    [
        ("PatientID", "Split: '-', ReuseMapping: Always", "with Split its parts are replaced"),
        ("'{LO}'", "ReuseMapping: SameStudy", "ReuseMapping is neither Always nor SamePatient"),
        ("'00100020'", "IgnoreCase: true", "ReuseMapping is neither Always nor SamePatient"),
        ("PatientID", "ReuseMapping: SamePatient", None),
        ("PatientName", "Split: '^'", None),
    ],
)
def test_what_withdrawals_cannot_find_is_warned_of(patterns, more, cause):
    warning = "r:5:19: warning: PatientID gets no pseudonym of its own, so withdraw finds no instances: "
    expected = [warning + cause] if cause else []
    assert problems(rule(f"RandomizeText: [{{TagPatterns: [{patterns}], {more}}}]")) == expected


@pytest.mark.parametrize(
    ("patterns", "shift_by", "more", "matched"),
    [
        ("*/{DT}", 30, "", "DT"),
        ("*/{TM}", 30, "", "TM"),
        ("*/*Time", 30, "", "DT and TM"),
        ("AcquisitionDateTime", 86399, "", "DT"),
        ("XXX@XXXX", 30, "", "DT and TM"),
        ("AcquisitionDateTime", 86400, "", ""),
        ("*/{DA}", 30, "", ""),
        ("StudyDate", 30, "", ""),
        ("*/{DT}", 30, ", PreserveIntervals: true, ReuseMapping: SamePatient", ""),
    ],
)
def test_a_shift_that_would_not_move_the_date_is_warned_of(patterns, shift_by, more, matched):
    found = problems(rule("ShiftDateTime:\n" + shift(patterns, shift_by, more)))
    if matched:
        (problem,) = found
        assert problem.startswith(f"r:6:5: warning: {matched} move by at most {shift_by} seconds")
    else:
        assert found == []


def test_rules_that_share_an_offset_must_agree_on_its_limit():
    more = ", PreserveIntervals: true, ReuseMapping: SamePatient"
    text = rule("ShiftDateTime:\n" + shift("*/{DA}", 30, more) + "\n" + shift("*/{DT}", 60, more))
    assert problems(text) == [
        "r:7:5: ShiftBy is 60 here and 30 on line 6: rules with PreserveIntervals and ReuseMapping: SamePatient share "
        "one offset"
    ]


@pytest.mark.parametrize("more", ["", ", PreserveIntervals: true, ReuseMapping: SameStudy"])
def test_rules_that_share_no_offset_may_differ(more):
    first = ", PreserveIntervals: true, ReuseMapping: SamePatient"
    text = rule("ShiftDateTime:\n" + shift("*/{DA}", 30, first) + "\n" + shift("StudyDate", 60, more))
    assert problems(text) == []


def test_every_transformation_says_what_it_does():
    rules = load_rules(VERSION_1.read_bytes(), "r")
    sentences = [each.describe() for entry in rules.entries for each in entry.transformations]
    assert {type(each) for entry in rules.entries for each in entry.transformations} == set(TRANSFORMATIONS)
    assert all(sentence.endswith(".") and len(sentence) > 20 for sentence in sentences)
    assert sentences[0] == (
        "Moves the dates in StudyDate by up to 7 days, times and date-times by up to 7 seconds, the same within a "
        "patient."
    )
