"""Which words of a description stay, and that nothing of the header does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deidentifier.profiles.clean_text import clean_text, explain_words, read_vocabulary
from deidentifier.profiles.spelling import fold, header_terms

TERMS = header_terms(["SMITH^ANNA", "12345678", "19700101", "Müller-Lüdenscheidt^Karl", "St. Mary Hospital"])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("t1_tse_sag_384", "t1_tse_sag_384"),
        ("AX T2 FLAIR FS 5mm (pre)", "AX T2 FLAIR FS 5mm (pre)"),
        ("CT Thorax mit KM, Dr. Weber 030-123 456 78", "CT Thorax mit KM"),
        ("CHEST PA/LAT for Anna Smith", "CHEST PA/LAT for"),
        ("S M I T H head", "head"),
        ("Schädel MRT 3T 1.5mm B30f", "Schädel MRT 3T 1.5mm B30f"),
        ("SCHADEL nativ", "SCHADEL nativ"),
        ("12.03.2020 follow up 3 months", "follow up 3 months"),
        ("An na Smith abdomen", "abdomen"),
        ("ANNASMITH knee", "knee"),
        ("muller ludenscheidt brain", "brain"),
        ("Patient 0815 left", "Patient left"),
        ("Mary hip", "hip"),
        ("CT 12345678", "CT"),
        ("Jane Roe", ""),
        ("", ""),
        ("1 2 3", ""),
        ("Thorax", "Thorax"),
        ("Omnipaque 300 mg/ml", "Omnipaque 300 mg/ml"),
        ("DTI 64 dir b1000 b=800", "DTI 64 dir b1000 b=800"),
        ("b1234 MRN 123", ""),
        ("ep2d_diff_4scan_trace", "ep2d_diff_4scan_trace"),
        ("SpinalCord", "SpinalCord"),
        ("CT 12 Mar 60 head", "CT head"),
        ("CT 12. März 1960 head", "CT head"),
        ("CT 12 de marzo de 1960 head", "CT head"),
        ("CT 12-DEZ-1960", "CT"),
        ("CT March 12th, 1960", "CT"),
        ("5 MAR", "5 MAR"),
        ("CT 95 years", "CT"),
        ("CT 93 ans", "CT"),
        ("age 101 head", "head"),
        ("age 61 head", "age 61 head"),
        ("ID 999 tel 12 34", ""),
        ("Mu\u0308ller brain", "brain"),
    ],
)
def test_what_stays(value, kept):
    assert clean_text(value, terms=TERMS).replace("Dr", "").rstrip(" ,.") == kept


def test_a_name_that_is_a_word_of_anatomy_goes():
    terms = header_terms(["HEAD^JOHN"])
    assert clean_text("Head CT", terms=terms) == "CT"


def test_decisions_have_reasons():
    reasons = {decision.reason for decision in explain_words("CT Smith 3 5mm T1 quux", terms=TERMS)}
    assert reasons == {
        "in the vocabulary",
        "stands in the header",
        "a small number",
        "a number with a unit",
        "not in the vocabulary",
    }


def test_a_site_adds_words():
    assert clean_text("quux CT", vocabulary=read_vocabulary("# ours\nQuux ct")) == "quux CT"


@given(st.text(max_size=60))
def test_cleaning_twice_changes_nothing_more(value):
    once = clean_text(value, terms=TERMS)
    assert clean_text(once, terms=TERMS) == once


@given(st.lists(st.sampled_from(["Smith", "ANNA", "ct", "head", "of", "12345678", "5mm"]), max_size=8))
def test_no_term_of_the_header_survives(words):
    cleaned = fold(clean_text(" ".join(words), terms=TERMS))
    assert not any(term in cleaned for term in ("smith", "anna", "12345678"))
