"""One patient in two projects: a code of its own in each, and never one code for two people."""

from __future__ import annotations

import io

import pydicom
import pytest

from common.errors import QuarantineError, RulesError
from common.orthanc import Orthanc
from deidentifier.__main__ import main
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import PREDEFINED, MappingCache, MemoryMappings, PostgresMappings
from deidentifier.pseudonym_key import PseudonymKey
from deidentifier.rules_file import load_rules
from tests.deidentifier.test_consent import instance

KEY = "k" * 20 + "0123456789abcdef"
CT = "1.2.840.10008.5.1.4.1.1.2"


def rules(first="", second="", names="SamePatient"):
    """Return rules of two projects, told apart by the body part; more keys may stand beside their Patient IDs."""
    text = """
Labels:
- {Name: A, DICOMQueryFilter: BodyPartExamined StrEquals HEAD}
- {Name: B, DICOMQueryFilter: BodyPartExamined StrEquals CHEST}
- {Name: C, DICOMQueryFilter: Modality StrEquals CT}
ScopeToForward: {Labels: ALL}
Transformations:
- Scope: {Labels: A}
  RandomizeText:
  - {TagPatterns: PatientID, ReuseMapping: Always, Project: TRIAL-A%s}
  - {TagPatterns: PatientName, ReuseMapping: %s, Project: TRIAL-A}
- Scope: {Labels: B}
  RandomizeText:
  - {TagPatterns: PatientID, ReuseMapping: SamePatient, Project: TRIAL-B%s}
  - {TagPatterns: PatientName, ReuseMapping: %s, Project: TRIAL-B}
- Scope: {Labels: C, ExceptLabels: [A, B]}
  RandomizeText:
  - {TagPatterns: PatientID, ReuseMapping: Always}
  - {TagPatterns: PatientName, ReuseMapping: SamePatient}
"""
    return load_rules(text % (first, names, second, names))


ONLY = ", OnlyPredefined: true"


def made(engine, part=None, patient="P-000077", number=1, **values):
    dataset = pydicom.dcmread(io.BytesIO(instance(patient, number)))
    dataset.BodyPartExamined = part
    for name, value in values.items():
        setattr(dataset, name, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return pydicom.dcmread(io.BytesIO(engine.deidentify(buffer.getvalue()).data))


@pytest.fixture(params=["memory", "postgresql"])
def store(request):
    if request.param == "memory":
        return MemoryMappings()
    return PostgresMappings(request.getfixturevalue("ingest_database").login("rpacs_deidentifier"))


@pytest.fixture
def worker(ingest_database, monkeypatch):
    for name, value in ingest_database.environ("rpacs_deidentifier").items():
        monkeypatch.setenv(name, value)
    return PostgresMappings(ingest_database.login("rpacs_deidentifier"))


@pytest.fixture
def codes(tmp_path):
    def write(*lines):
        path = tmp_path / "codes.csv"
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    return write


# ------------------------------------------------------------------------------------------------------- own values
def test_a_patient_has_another_pseudonym_in_each_project(store):
    engine = Deidentifier(rules(), store)
    results = [made(engine, part) for part in ("HEAD", "CHEST", "NECK")]
    assert len({result.PatientID for result in results}) == 3
    assert len({str(result.PatientName) for result in results}) == 3
    again = Deidentifier(rules(), store)
    assert [made(again, part).PatientID for part in ("HEAD", "CHEST", "NECK")] == [each.PatientID for each in results]


def test_texts_stay_unique_across_projects(store):
    first, second = ("TEXT", "Always", "", "a", "A"), ("TEXT", "SamePatient", "p", "b", "B")
    assert store.fetch_or_create({first: "AAAAAAAA"}) == {first: "AAAAAAAA"}
    assert store.fetch_or_create({second: "aaaaaaaa"}) == {}
    assert store.fetch_or_create({("TEXT", "Always", "", "c"): "AAAAaaaa"}) == {}


def test_what_needs_a_predefined_value_is_never_drawn(store):
    key = ("TEXT", "Always", "", "a", "A")
    assert store.fetch_or_create({(*key, PREDEFINED): "AAAAAAAA"}) == {}
    assert store.fetch_or_create({key: "BBBBBBBB"}) == {key: "BBBBBBBB"}
    assert store.fetch_or_create({(*key, PREDEFINED): "AAAAAAAA"}) == {}


def test_a_long_original_has_its_own_value_in_a_project(store):
    keys = [("TEXT", "Always", "", "x" * 5000), ("TEXT", "Always", "", "x" * 5000, "A")]
    assert store.fetch_or_create(dict(zip(keys, ("AAAAAAAA", "BBBBBBBB"), strict=True))) == {
        keys[0]: "AAAAAAAA",
        keys[1]: "BBBBBBBB",
    }


def test_derived_values_outside_projects_are_what_they_were():
    cache = MappingCache(MemoryMappings(), key=PseudonymKey(KEY))
    outside, inside = cache.draw([("TEXT", "Always", "", "P1"), ("TEXT", "Always", "", "P1", "A")], 0)
    assert outside.hex() == "c2f8f500715c7ec8c5fbfa972f14266d1f66813b439073d1963641730e27aac2"
    assert inside != outside
    assert cache.draw([("TEXT", "Always", "", "P1", "B")], 0) != [inside]


def test_one_call_for_an_instance():
    calls = []

    class Store(MemoryMappings):
        def fetch_or_create(self, wanted):
            calls.append(len(wanted))
            return super().fetch_or_create(wanted)

    made(Deidentifier(rules(), Store()), "HEAD")
    assert calls == [2]


# ------------------------------------------------------------------------------------------------------- predefined
@pytest.mark.parametrize(("part", "code"), [("HEAD", "A-001"), ("CHEST", "B-017"), ("NECK", "N-5")])
def test_codes_of_a_project(worker, codes, part, code, capsys):
    path = codes("PatientID,SubjectCode,Project", "P-000077,A-001,TRIAL-A", "P-000077,B-017,TRIAL-B", "P-000077,N-5,")
    assert main(["import-pseudonyms", path]) == 0
    assert main(["import-pseudonyms", path]) == 0
    assert "1 pseudonyms are in force in the project TRIAL-B" in capsys.readouterr().out
    assert made(Deidentifier(rules(), worker), part).PatientID == code
    assert made(Deidentifier(rules(ONLY, ONLY), worker), part).PatientID == code


def test_who_is_not_listed_is_quarantined(worker, codes):
    engine = Deidentifier(rules(ONLY), worker)
    before = Deidentifier(rules(), worker)
    drawn = made(before, "HEAD", "P-000078").PatientID
    for patient in ("P-000077", "P-000078"):  # a random code of before is none of the list either
        with pytest.raises(QuarantineError, match="PatientID: the project TRIAL-A has no predefined code") as caught:
            made(engine, "HEAD", patient)
        assert patient not in str(caught.value)
    assert drawn not in str(caught.value)
    assert made(engine, "CHEST").PatientID
    assert main(["import-pseudonyms", codes("PatientID,SubjectCode,Project", "P-000077,A-001,TRIAL-A")]) == 0
    assert made(engine, "HEAD").PatientID == "A-001"


@pytest.mark.parametrize("values", [{"PatientID": ""}, {"PatientID": " "}, {"PatientID": None}])
def test_a_patient_without_an_identifier_is_not_listed_either(worker, values):
    with pytest.raises(QuarantineError, match="PatientID: no value"):
        made(Deidentifier(rules(ONLY), worker), "HEAD", **values)


def test_a_value_that_another_element_drew_is_not_predefined(worker):
    engine = Deidentifier(rules(ONLY, names="Always"), worker)
    with pytest.raises(QuarantineError, match="PatientID: the project TRIAL-A"):
        made(engine, "HEAD", PatientName="P-000077")
    made(Deidentifier(rules(names="Always"), worker), "HEAD", "P-000079", PatientName="P-000077")
    with pytest.raises(QuarantineError, match="PatientID: the project TRIAL-A"):
        made(engine, "HEAD")


def test_a_code_of_another_project_is_left_out(worker, codes, capsys):
    table = ("PatientID,SubjectCode,Project", "P1,001,TRIAL-A", "P2,001,TRIAL-B", "P3,x,TRIAL-A")
    assert main(["import-pseudonyms", codes(*table)]) == 1
    shown = capsys.readouterr()
    assert "codes.csv:3: left out: the code stands for another" in shown.err
    assert "001" not in shown.err
    assert "P2" not in shown.err
    assert main(["import-pseudonyms", codes("PatientID,SubjectCode,Project", "P1,X,TRIAL-B")]) == 1
    assert "codes.csv:2: left out: the code stands for another" in capsys.readouterr().err
    assert main(["import-pseudonyms", codes("PatientID,SubjectCode,Project", "P1,002,TRIAL-A")]) == 1
    assert "codes.csv:2: left out: the patient has another pseudonym" in capsys.readouterr().err
    assert made(Deidentifier(rules(ONLY), worker), "HEAD", "P1").PatientID == "001"


@pytest.mark.parametrize(
    ("line", "problem"),
    [("P1,002,TRIAL-A", ":3: the patient of line 2 again"), ("P2,002,TRIAL/A", ":3: Project: expected up to 64")],
)
def test_a_list_that_contradicts_itself_is_refused(worker, codes, line, problem, capsys):
    assert main(["import-pseudonyms", codes("PatientID,SubjectCode,Project", "P1,001,TRIAL-A", line)]) == 2
    assert problem in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------- which project it is
def test_an_instance_of_two_projects_is_quarantined():
    text = """
Labels: [{Name: A, DICOMQueryFilter: Modality StrEquals CT}, {Name: B, DICOMQueryFilter: PatientID StrEquals P*}]
ScopeToForward: {Labels: ALL}
Transformations:
- {Scope: {Labels: A}, RandomizeText: [{TagPatterns: PatientID, ReuseMapping: Always, Project: ONE}]}
- {Scope: {Labels: B}, RandomizeText: [{TagPatterns: PatientName, ReuseMapping: Always, Project: TWO}]}
"""
    engine = Deidentifier(load_rules(text), MemoryMappings())
    with pytest.raises(QuarantineError, match=r"more than one project.*: ONE \(line 5\) and TWO \(line 6\)"):
        made(engine)
    assert made(engine, Modality="MR").PatientID == "P-000077"


def test_a_code_is_for_the_original_value():
    text = """
Labels: [{Name: A, DICOMQueryFilter: Modality StrEquals CT}, {Name: B, DICOMQueryFilter: PatientID StrEquals P*}]
ScopeToForward: {Labels: ALL}
Transformations:
- {Scope: {Labels: B}, RandomizeText: [{TagPatterns: "Patient*", ReuseMapping: Always}]}
- {Scope: {Labels: A}, RandomizeText: [{TagPatterns: PatientID, ReuseMapping: Always, Project: ONE}]}
"""
    engine = Deidentifier(load_rules(text), MemoryMappings())
    with pytest.raises(QuarantineError, match=r"PatientID: RandomizeText on line 6 is for a project, and .* line 5"):
        made(engine)
    assert made(engine, Modality="MR").PatientID != "P-000077"


FRAME = "Labels: [{Name: A}]\nScopeToForward: {Labels: A}\nTransformations:\n"
CODE = "{TagPatterns: PatientID, ReuseMapping: Always, Project: ONE}"


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (
            ["{TagPatterns: PatientID, Project: ONE}"],
            "r:4:74: Project needs ReuseMapping: Always or SamePatient",
        ),
        (["{TagPatterns: PatientID, ReuseMapping: SameStudy, Project: ONE}"], "Project needs ReuseMapping"),
        (["{TagPatterns: PatientID, ReuseMapping: Always, Project: a/b}"], "expected up to 64 letters"),
        (["{TagPatterns: PatientID, ReuseMapping: Always, OnlyPredefined: true}"], "OnlyPredefined needs Project"),
        ([f"{CODE[:-1]}, OnlyPredefined: true, IgnoreCase: true}}"], "IgnoreCase excludes OnlyPredefined"),
        ([f"{CODE[:-1]}, OnlyPredefined: true, Split: '-'}}"], "Split excludes OnlyPredefined"),
        ([f"{CODE}, {CODE.replace('ONE', 'TWO')}"], "Project is ONE here and TWO on line 4"),
        ([CODE, CODE.replace("ONE", "TWO")], "Project is ONE here and TWO on line 5"),
        ([CODE, "{TagPatterns: 'Patient*', ReuseMapping: Always}"], "same element as the rule on line 5"),
    ],
)
def test_what_can_never_be_right_is_no_rules_file(entries, problem):
    text = FRAME + "".join(f"- {{Scope: {{Labels: A}}, RandomizeText: [{each}]}}\n" for each in entries)
    with pytest.raises(RulesError) as caught:
        load_rules(text, "r")
    assert problem in "\n".join(map(str, caught.value.problems))


def test_the_statement_names_project_and_list():
    (sentence, *_) = [rule.describe() for entry in rules(ONLY).entries for rule in entry.transformations]
    assert (
        "in the project TRIAL-A with its own codes; without a predefined code the instance is quarantined" in sentence
    )


# ------------------------------------------------------------------------------------------- the way back, withdrawal
def test_reidentify_tells_the_project(ingest_database, worker, monkeypatch, capsys):
    engine = Deidentifier(rules(), worker)
    results = [made(engine, part).PatientID for part in ("HEAD", "CHEST", "NECK")]
    for name, value in ingest_database.environ("rpacs_reidentify").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RPACS_CONSOLE_AUDIT_KEY", "a" * 40)
    assert main(["reidentify", *results, "--reason", "test"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for pseudonym, project in zip(results, ("TRIAL-A", "TRIAL-B", ""), strict=True):
        assert f"TEXT\tAlways\t{pseudonym}\tP-000077\t{project}" in lines


def test_withdrawal_reaches_every_project(
    ingest_database, research_orthanc, worker, codes, log_in_to_withdraw, monkeypatch, tmp_path
):
    assert main(["import-pseudonyms", codes("PatientID,SubjectCode,Project", "P-000077,A-001,TRIAL-A")]) == 0
    engine = Deidentifier(rules(), worker)
    orthanc = Orthanc(research_orthanc.url, research_orthanc.username, research_orthanc.password)
    for number, (part, patient) in enumerate(
        [("HEAD", "P-000077"), ("CHEST", "P-000077"), ("NECK", "P-000077"), ("HEAD", "P-000078")]
    ):
        result = made(engine, part, patient, number)
        buffer = io.BytesIO()
        result.save_as(buffer)
        orthanc.upload(buffer.getvalue())
    log_in_to_withdraw()
    monkeypatch.setenv("RPACS_WITHDRAWAL_KEY", KEY)
    patients = tmp_path / "patients"
    patients.write_text("P-000077\n")
    assert main(["withdraw", "--patients", str(patients), "--output", str(tmp_path / "uids")]) == 0
    assert orthanc.count_instances() == 1
    with ingest_database.owner.transaction() as cursor:
        cursor.execute("SELECT m::text FROM ingest.mappings AS m")
        left = "\n".join(row for (row,) in cursor.fetchall())
    assert "P-000077" not in left
    assert "P-000078" in left
