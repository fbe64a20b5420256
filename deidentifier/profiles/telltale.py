"""What tells on somebody by its form alone: dates, ages from 90 on, long numbers, numbers that are called identifiers.

Months are known by their names in English, German, French, Spanish, Italian, Portuguese and Dutch.
"""

from __future__ import annotations

import re

_MONTH = (
    r"(?:jan(?:uary?|uari|vier|eiro)?|j[äa]nner|f[eé]b(?:ruary?|ruari|braio|rero)?|f[eé]vr?(?:ier)?|fevereiro"
    r"|m[aä]r(?:ch|z|s|zo|[çc]o)?|maerz|maart|mrt|apr(?:ile?)?|abr(?:il)?|avr(?:il)?|ma[iy]o?|mei|mag(?:gio)?"
    r"|jun(?:e|io?|ho)?|juin|giu(?:gno)?|jul(?:y|io?|ho)?|juil(?:let)?|lug(?:lio)?|aug(?:ust(?:us)?)?|ago(?:sto)?"
    r"|ao[uû]t|sep(?:t(?:ember|embre|iembre)?)?|set(?:tembre|embro)?|o[ck]t(?:ober|obre|ubre)?|out(?:ubro)?"
    r"|ott(?:obre)?|nov(?:ember|embre|iembre|embro)?|de[cz](?:ember|embre|embro)?|d[ée]c(?:embre)?|dic(?:iembre|embre)?"
    r"|ene(?:ro)?|gen(?:naio)?)"
)
_GAP = r"[\s_.,/-]{0,3}"
_NAMED_DATE = (
    rf"(?<![^\W_])\d{{1,2}}(?:st|nd|rd|th|er|º)?{_GAP}(?:de\s|of\s)?{_MONTH}{_GAP}(?:del?\s)?(?:\d{{4}}|\d\d)(?!\d)"
    rf"|(?<![^\W_]){_MONTH}{_GAP}\d{{1,2}}(?:st|nd|rd|th)?{_GAP}(?:19|20)\d\d(?!\d)"
    rf"|(?<![^\W_]){_MONTH}{_GAP}(?:del?\s)?(?:19|20)\d\d(?!\d)"
)
# From 90 on an age identifies by itself (HIPAA, 45 CFR 164.514(b)(2)(i)(C)).
_OLD = r"0?(?:9\d|1[01]\d)"
_AGE = (
    rf"(?<![^\W_]){_OLD}[\s_-]{{0,2}}(?:y|yo|yrs?|years?|jahre?|j[äa]e?hrig\w*|ans|a[ñn]os|anni|jaar)(?![^\W_])"
    rf"|(?<![^\W_])(?:aged?|alter|[âa]ge|edad|et[àa]|idade|leeftijd)[\s_:=.-]{{0,3}}{_OLD}(?!\d)"
)
_CALLED = (
    r"(?<![^\W_])(?:mrn|pid|id|pat(?:ient)?[\s_-]?(?:id|nr|no)|accession|case|fall(?:nr)?|tel(?:efon|ephone)?|phone|fon"
    r"|fax|ext|mobile|mobil|handy|ssn|nhs|ahv)[\s.:#_-]{0,3}\d(?:[\s/.-]{0,2}\d){2,}"
)
TELLTALE = re.compile(rf"{_NAMED_DATE}|{_AGE}|{_CALLED}", re.IGNORECASE)
"""In a description, beside the numbers that the rules for words take away."""

IDENTIFIER = re.compile(
    # Versions are numbers with dots, too: what may be a date has a day and a month.
    r"\d{5,}|(?<![\d.])(?:0?[1-9]|[12]\d|3[01])\.(?:0?[1-9]|[12]\d|3[01])\.(?:19|20)?\d\d(?![\d.])"
    r"|(?<!\d)(?:19|20)\d\d\.(?:0?[1-9]|1[0-2])\.(?:0[1-9]|[12]\d|3[01])(?!\d)"
    r"|\d{1,4}[-/]\d{1,2}[-/]\d{2,4}|\S+@\S+|\+?\d[\d\s/()-]{6,}\d|\d+(?:\.\d+){4,}|[A-Za-z]{3,}\d{4,}"
    rf"|{TELLTALE.pattern}",
    re.IGNORECASE,
)
"""In a technical text: long numbers, dates, UIDs, mail addresses, telephone numbers, and what is above."""
