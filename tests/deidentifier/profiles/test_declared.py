"""Private elements that the sender declares to be safe: kept only where it is trusted."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from common.dicom_scan import scan
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.profiles.declared import ALL_OF_BLOCK, declared_safe
from deidentifier.rules_file import load_rules
from deidentifier.settings import DeidentifierSettings

_RULES = """
Labels: []
ScopeToForward: {Labels: ALL}
Transformations:
- Scope: {Labels: ALL}
  Profile: Basic
  Options: [%s]
"""


def declaration(creator: str, status: str, *numbers: int, group: int = 0x0029) -> Dataset:
    item = Dataset()
    item.PrivateGroupReference, item.PrivateCreatorReference = group, creator
    item.BlockIdentifyingInformationStatus = status
    if numbers:
        item.NonidentifyingPrivateElements = list(numbers)
    return item


def instance(*declared: Dataset) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.3.6.1.4.1.7.7.9"
    dataset.PatientName, dataset.PatientID = "Quimby^Zoe", "QX-123456"
    if declared:
        dataset.PrivateDataElementCharacteristicsSequence = list(declared)
    block = dataset.private_block(0x0029, "ACME 1", create=True)
    block.add_new(0x01, "DS", "1.5")
    block.add_new(0x02, "LO", "Quimby scan")
    block.add_new(0x03, "UI", "1.3.6.1.4.1.7.7.10")
    block.add_new(0x04, "UN", b"Quimby")
    dataset.private_block(0x0029, "ACME 2", create=True).add_new(0x01, "DS", "2.5")
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def kept(data: bytes, *, trusted: bool = True, options: str = "RetainSafePrivate") -> dict[str, str]:
    engine = Deidentifier(load_rules(_RULES % options), MemoryMappings(), trusts_declared=trusted)
    result = pydicom.dcmread(io.BytesIO(engine.deidentify(data).data))
    assert "PrivateDataElementCharacteristicsSequence" not in result
    private = [element for element in result if element.tag.is_private and not element.tag.is_private_creator]
    return {f"{element.private_creator} {element.tag & 0xFF:02X}": str(element.value) for element in private}


def test_a_safe_block_stays_cleaned() -> None:
    found = kept(instance(declaration("ACME 1", "SAFE")))
    assert set(found) <= {"ACME 1 01", "ACME 1 02", "ACME 1 03"}  # what is UN might hold anything
    assert found["ACME 1 01"] == "1.5"
    assert "Quimby" not in found["ACME 1 02"]
    assert found["ACME 1 03"] != "1.3.6.1.4.1.7.7.10"


def test_of_a_mixed_block_the_named_elements_stay() -> None:
    assert kept(instance(declaration("ACME 1", "MIXED", 0x01), declaration("ACME 2", "UNSAFE"))) == {"ACME 1 01": "1.5"}


@pytest.mark.parametrize(("trusted", "options"), [(False, "RetainSafePrivate"), (True, "")])
def test_without_trust_or_the_option_all_go(trusted: bool, options: str) -> None:
    assert kept(instance(declaration("ACME 1", "SAFE")), trusted=trusted, options=options) == {}


def test_one_instance_declares_nothing_for_the_next() -> None:
    engine = Deidentifier(load_rules(_RULES % "RetainSafePrivate"), MemoryMappings(), trusts_declared=True)
    sizes = [len(engine.deidentify(instance(*each)).data) for each in ((declaration("ACME 1", "SAFE"),), ())]
    assert sizes[0] > sizes[1]
    assert kept(instance()) == {}


def test_what_is_declared_wrongly_is_not_declared() -> None:
    empty = Dataset()
    of_group = declaration("ACME 1", "SAFE", group=0x0031)
    assert declared_safe(scan(instance(empty, declaration("ACME 1", "PERHAPS", 1)))) == frozenset()
    assert declared_safe(scan(instance(of_group))) == {("ACME 1", 0x0031, ALL_OF_BLOCK)}
    assert kept(instance(empty, of_group, declaration("ACME 1", "PERHAPS", 1))) == {}


def test_nobody_is_trusted_by_default() -> None:
    option = DeidentifierSettings.__dataclass_fields__["trust_private_characteristics"]
    assert option.default is False
