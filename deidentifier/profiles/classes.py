"""Which SOP classes the profile lets through: those whose contents it knows."""

from __future__ import annotations

from functools import cache

from common.dicom_dictionary import uids
from deidentifier.profiles.tables import attribute_types

_DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104."
_DIRECTORY = "1.2.840.10008.1.3.10"
_REGISTERED = "1.2.840.10008."


@cache
def refuse_class(sop_class: str) -> str:
    """Return why an instance of a SOP class cannot be let through by the profile; empty where it can.

    Documents wrapped into DICOM (PDF, CDA, STL, …) cannot be cleaned by rules for elements. Of private classes nobody
    knows what they hold.
    """
    if not sop_class:
        return "it names no SOP class"
    if sop_class.startswith(_DOCUMENTS):
        return "an encapsulated document cannot be cleaned by rules for elements"
    if not sop_class.startswith(_REGISTERED):
        return "a private SOP class: nobody knows what it holds"
    if attribute_types().knows(sop_class) and sop_class != _DIRECTORY:
        return ""
    name, kind, *_ = uids().get(sop_class, ("", "", "", "", ""))
    if sop_class == _DIRECTORY or kind != "SOP Class" or "Storage" not in name:
        return "no storage class of the standard"
    return ""
