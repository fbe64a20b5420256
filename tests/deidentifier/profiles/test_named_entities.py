"""Words of named entities go from cleaned text: never more stays than by the rules alone."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from common.errors import ConfigurationError
from common.settings import load
from deidentifier.builder import DeidentifierBuilder
from deidentifier.profiles.clean_text import clean_text, explain_words
from deidentifier.profiles.named_entities import LABELS, Recogniser
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES, OfflineSettings
from tests.helpers.ner_models import ruled, trained

PROFILE = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n  Profile: Basic\n"
RULES = PROFILE + "  Options: [CleanDescriptors]\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {"ruled": str(ruled(folder / "ruled")), "trained": str(trained(folder / "trained"))}


@pytest.fixture(scope="module")
def by_patterns(models):
    return Recogniser(models["ruled"])


@pytest.fixture(scope="module")
def by_training(models):
    return Recogniser(models["trained"])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("CT long axis, Dr. Henry Long", "CT long axis, Dr"),
        ("foot left", "foot left"),
        ("Foot left", "left"),
        ("chest_Henry_Long_right", "chest_right"),
        ("knee for Henry^Long", "knee for"),
        ("MRI Berlin 3 May 12 spine", "MRI spine"),
        ("MRI 3 May 2 spine", "MRI 3 May 2 spine"),
        ("White Field abdomen", "White Field abdomen"),  # organisations are not among the default labels
        ("FOOT LEFT", "LEFT"),  # in capitals: read as Foot Left, too
        ("FOOT LEFT 5mm", "LEFT 5mm"),
        ("FOOT left", "FOOT left"),
        ("quux", ""),
    ],
)
def test_what_goes_beyond_the_rules(by_patterns, value, kept):
    assert clean_text(value, find=by_patterns.find) == kept


def test_what_was_learned_goes(by_training):
    assert clean_text("CT chest for Dr. Ruth Long left") == "CT chest for Dr. Long left"
    assert clean_text("CT chest for Dr. Ruth Long left", find=by_training.find) == "CT chest for Dr. left"
    assert clean_text("long axis heart", find=by_training.find) == "long axis heart"


def test_the_reason_names_the_label_where_the_rules_would_keep_the_word(by_patterns):
    reasons = [decision.reason for decision in explain_words("CT Henry Long Berlin", find=by_patterns.find)]
    assert reasons == ["in the vocabulary", "not in the vocabulary", "named entity (PERSON)", "named entity (GPE)"]


_WORDS = st.from_regex("(Henry|Long|[Ff]oot|FOOT|Berlin|CT|3|May|12|quux|S|M|I|5 mm|Smith)( |$)", fullmatch=True)


@given(words=st.lists(_WORDS, max_size=10), more=st.text(max_size=20))
def test_no_word_stays_that_the_rules_remove(by_patterns, words, more):
    value = "".join(words) + more
    terms = frozenset(["smith"])
    by_rules = explain_words(value, terms=terms)
    with_model = explain_words(value, terms=terms, find=by_patterns.find)
    assert [(each.start, each.end) for each in by_rules] == [(each.start, each.end) for each in with_model]
    for rule, model in zip(by_rules, with_model, strict=True):
        assert rule == model or (rule.kept and not model.kept)


def test_labels_are_the_sites_choice(models):
    find = Recogniser(models["ruled"], ["ORG"]).find
    assert clean_text("White Field abdomen, Foot", find=find) == "abdomen, Foot"


@pytest.mark.parametrize(
    ("model", "labels", "message"),
    [
        ("ruled", ("PERSN", "GPE"), "RPACS_NER_LABELS: .*ruled .*does not know PERSN: its labels are DATE, GPE, ORG"),
        ("ruled", (), "RPACS_NER_LABELS: names no label"),
        ("absent", LABELS, "RPACS_NER_MODEL: .*absent cannot be loaded .OSError.: it has to be the folder of a spaCy"),
        ("json", LABELS, "RPACS_NER_MODEL: json cannot be loaded"),
        ("empty", LABELS, "RPACS_NER_MODEL: .*empty cannot be loaded"),
        ("damaged", LABELS, "RPACS_NER_MODEL: .*damaged cannot be loaded"),
        ("blank:en", LABELS, "RPACS_NER_LABELS: the model blank:en .*its labels are none"),
    ],
)
def test_what_cannot_be_used_is_refused(models, tmp_path, model, labels, message):
    (tmp_path / "empty").mkdir()
    ruled(tmp_path / "damaged")
    (tmp_path / "damaged" / "entity_ruler" / "patterns.jsonl").write_bytes(b"\xff{")
    known = {name: str(tmp_path / name) for name in ("absent", "empty", "damaged")}
    with pytest.raises(ConfigurationError, match=message):
        Recogniser((models | known).get(model, model), labels)


def test_without_spacy_the_remedy_is_named(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(ConfigurationError, match=r"RPACS_NER_MODEL is set, .*install research-pacs\[ner\]"):
        Recogniser(models["ruled"])


def test_the_name_tells_models_apart(models, tmp_path, by_patterns, by_training):
    assert by_patterns.name.startswith("en_ruled 1.2.3 ")
    assert by_training.name.startswith("en_trained 0.1 ")
    assert Recogniser(models["ruled"]).name == by_patterns.name
    # Trained at home, the version mostly stays.
    assert Recogniser(str(ruled(tmp_path / "other", [("PERSON", "Anna")]))).name != by_patterns.name
    long = Recogniser(str(ruled(tmp_path / "long", version="1" * 80)))
    assert len(f"NER {long.name}") <= 64


def test_components_without_a_say_in_entities_are_left_out(by_training):
    assert by_training._pipeline.pipe_names == ["ner"]


def test_a_long_text_is_read_in_pieces(by_patterns):
    text = "chest " * 5_000 + "Foot " + "left " * 1_000 + "x" * 12_000 + " Foot"
    found = by_patterns.find(text)
    assert [text[entity.start : entity.end] for entity in found] == ["Foot", "Foot"]


def test_threads_get_the_same_and_nothing_is_kept_of_the_words(models, by_training):
    texts = [f"CT chest for Dr. Ruth Long left {number} Zq{number}" for number in range(200)]
    alone = [by_training.find(text) for text in texts]
    shared = Recogniser(models["trained"])
    before = len(shared._pipeline.vocab.strings)
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(shared.find, [*texts, *texts])] == [*alone, *alone]
    assert len(shared._pipeline.vocab.strings) == before


# ------------------------------------------------------------------------------------------------------- the engine
def built(rules, **settings):
    environ = {f"RPACS_{name.upper()}": value for name, value in settings.items()}
    return DeidentifierBuilder(load(OfflineSettings, environ)).build(load_rules(rules))


def described(description):
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.StudyDescription = description
    dataset.save_as(written := BytesIO())
    return written.getvalue()


@pytest.mark.parametrize("model", ["ruled", "trained"])
def test_an_instance_is_cleaned_and_says_by_what(models, model):
    original = described("CT chest for Dr. Henry Long left")
    engine = built(RULES, ner_model=models[model], pseudonym_key="k" * 32)
    result = pydicom.dcmread(BytesIO(engine.deidentify(original).data))
    assert result.StudyDescription == "CT chest for Dr. left"
    assert list(result.DeidentificationMethod)[2:] == ["CleanDescriptors", f"NER {engine.recogniser.name}"]
    again = built(RULES, ner_model=models[model], pseudonym_key="k" * 32)
    assert engine.deidentify(original).data == again.deidentify(original).data
    plain = pydicom.dcmread(BytesIO(built(RULES).deidentify(original).data))
    assert plain.StudyDescription == "CT chest for Dr. Long left"
    assert list(plain.DeidentificationMethod)[2:] == ["CleanDescriptors"]


def test_where_no_text_is_cleaned_the_method_names_no_model(models):
    result = pydicom.dcmread(BytesIO(built(PROFILE, ner_model=models["ruled"]).deidentify(described("CT")).data))
    assert list(result.DeidentificationMethod)[1:] == ["DICOM PS3.15 Basic Profile"]


# ----------------------------------------------------------------------------------------------------- the commands
@pytest.fixture
def command(root):
    def start(*arguments, **environ):
        environ = {"PATH": os.environ["PATH"], "RPACS_PSEUDONYM_KEY": "k" * 32, **environ}
        words = [sys.executable, "-m", "deidentifier", *map(str, arguments)]
        return subprocess.run(words, cwd=root, env=environ, capture_output=True, text=True, timeout=120)

    return start


@pytest.mark.parametrize("name", ["check", "statement", "run", "run --workers 2"])
def test_commands_refuse_a_model_that_cannot_be_loaded(command, tmp_path, name):
    (tmp_path / "in.dcm").write_bytes(described("CT"))
    arguments = [*name.split(), "--output", tmp_path / "out", tmp_path / "in.dcm"]
    if "run" not in name:
        arguments = [name, DEFAULT_RULES]
    done = command(*arguments, RPACS_NER_MODEL=str(tmp_path / "absent"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"RPACS_NER_MODEL: {tmp_path}/absent cannot be loaded")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_statement_names_the_model(command, models, by_training):
    done = command("statement", RPACS_NER_MODEL=models["trained"], RPACS_NER_LABELS="PERSON")
    assert done.returncode == 0, done.stderr
    assert f"PERSON, as found by the model {by_training.name} (name, version" in done.stdout
    assert "named entity" not in command("statement").stdout


def test_a_run_makes_the_same_bytes_with_any_number_of_workers(command, models, tmp_path):
    for number in range(4):
        folder = tmp_path / "in" / str(number)
        folder.mkdir(parents=True)
        (folder / "x.dcm").write_bytes(described(f"CT chest {number} for Dr. Anna Young left"))
    for workers in (1, 2):
        arguments = ["--workers", workers, "--output", tmp_path / str(workers), tmp_path / "in"]
        done = command("run", *arguments, RPACS_NER_MODEL=models["trained"])
        assert done.returncode == 0, done.stderr
    for number in range(4):
        first, second = ((tmp_path / str(workers) / str(number) / "x.dcm").read_bytes() for workers in (1, 2))
        assert first == second
        assert pydicom.dcmread(BytesIO(first)).StudyDescription == f"CT chest {number} for Dr. left"
