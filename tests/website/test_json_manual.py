"""The manual's page on JSON shows what the portal writes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from common.dicom_json import element_document
from tests.helpers.research_store import make_instance
from website.index import build_document


def test_the_element_document_of_the_manual(root: Path) -> None:
    page = (root / "doc" / "reference" / "json.md").read_text()
    (shown,) = re.findall(r"```json element-document\n(.*?)```", page, re.DOTALL)
    wanted = json.loads(shown)
    found = element_document(build_document(None, _file()).elements)
    assert {key: found[key] for key in wanted} == wanted
    assert [key for key in found if key in wanted] == list(wanted)
    assert not any(key.startswith("7FE0") for key in found)


def _file() -> bytes:
    dataset = dcmread(io.BytesIO(make_instance(1, 1, 1, 7)))
    dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 192", "Anon^1=安^一"
    dataset.ImageType, dataset.SliceThickness = ["ORIGINAL", "PRIMARY"], "1.250"
    dataset.ProcedureCodeSequence = Sequence([_item(CodeValue="P1", CodeMeaning="")])
    dataset.RequestAttributesSequence = Sequence(
        [_item(ScheduledProcedureStepDescription=text) for text in ("first", "second")]
    )
    dataset.private_block(0x0009, "ACME", create=True).add_new(1, "OB", b"\1\2")
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def _item(**values: str) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
