"""How names are written: without diacritics, in other letters, in parts and together."""

import pytest

from deidentifier.profiles.identity import Identity
from deidentifier.profiles.spelling import fold, header_terms, pieces_of


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Müller^Jörg", {"muller", "mueller", "jorg", "joerg", "muellerjoerg", "jmuller"}),
        ("MUELLER^Joerg", {"mueller", "muller", "joerg", "jorg"}),
        ("Sørensen^Åse", {"sorensen", "soerensen", "aase", "ase"}),
        ("Łukasz^Żak", {"lukasz", "zak"}),
        ("Groß^Þóra", {"gross", "thora"}),
        ("Iğdır^Çelik", {"igdir", "celik"}),
        ("O'Connor^Mary-Jane", {"connor", "oconnor", "mary", "maryjane"}),
        ("De la Cruz^José", {"delacruz", "cruz", "jose"}),
        ("Дмитриев^Иван", {"dmitriev", "ivan", "ивандмитриев"}),
        ("Yamada^Tarou=山田^太郎", {"yamada", "山田", "太郎", "山田太郎"}),
    ],
)
def test_a_name_is_known_in_all_its_spellings(name, written):
    assert {fold(term) for term in header_terms([name])} >= {fold(word) for word in written}


def test_small_numbers_are_no_terms():
    assert header_terms(["10", "7", "123", "A1"]) == {"123", "a1"}


def test_pieces_end_where_capitals_and_digits_do():
    assert pieces_of("SmithJ2_AAHead Ingenia") == ["smith", "j", "2", "aa", "head", "ingenia"]


def identity(name):
    return Identity((("name", name.encode(), ("utf8",)), ("place", b"Philips", ("utf8",))))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Inge^Axel", "Ingenia"),
        ("Collins^Phil", "Philips Medical Systems"),
        ("Philips^John", "Philips Medical Systems"),
        ("Cano^Luis", "CANON_MEC"),
        ("Head^Long", "HeadNeck_20"),
        ("Smith^John^^Mr", "MR29.1_EA_2"),
        ("Corona^Maria", "coronal reformat"),
        ("Roe^Jane", "12.0.25 5.1.7.2 VE11C"),
    ],
)
def test_a_name_by_chance_leaves_a_technical_text_alone(name, text):
    assert identity(name).strip(text) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Müller^Jörg", "scan by Mueller"),
        ("Smith^John", "SMITHJ"),
        ("Smith^John", "SmithTest"),
        ("Smith^John", "Smi th 3"),
        ("Doe^Al", "ALDOE"),
        ("Winterbottom^Jo", "xxwinterbottomxx"),
        ("Yamada^Tarou=山田^太郎", "山田太郎"),
    ],
)
def test_a_name_in_a_technical_text_goes(name, text):
    cleaned = fold(identity(name).strip(text))
    assert not any(word in cleaned for word in ("mueller", "smi", "doe", "winter", "山"))


def test_titles_and_placeholders_are_not_taken_out_of_descriptions():
    assert identity("Smith^John^^Mr").clean("MR Schädel") == "MR Schädel"
    assert identity("Phantom^QA").clean("Phantom CT") == "Phantom CT"


@pytest.mark.parametrize("text", ["CT Sternum", "Coronal axial", "marker long"])
def test_a_name_inside_a_longer_word_of_the_vocabulary_goes_alone(text):
    for name in ("Stern^Axia", "Corona^Ster", "Mark^Longi"):
        assert identity(name).clean(text) == text
