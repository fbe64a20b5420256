"""Labels of an instance, matched on its scanned elements."""

import io

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from common.dicom_scan import scan
from deidentifier.labels import match_labels
from deidentifier.rules_file import load_rules

RULES = load_rules("""
Labels:
- {Name: CT, DICOMQueryFilter: Modality StrEquals CT}
- {Name: NotMR, DICOMQueryFilter: NOT (Modality StrEquals MR)}
- {Name: Everything}
- {Name: Nested, DICOMQueryFilter: OtherPatientIDsSequence.PatientID StrEquals "ABC*"}
- {Name: Explicit, DICOMQueryFilter: TransferSyntaxUID StrEquals 1.2.840.10008.1.2.1}
- {Name: Private, DICOMQueryFilter: 00090010 Exists}
ScopeToForward: {Labels: ALL}
Transformations: []
""")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CT_small.dcm", {"ALL", "CT", "NotMR", "Everything", "Nested", "Explicit", "Private"}),
        ("MR_small.dcm", {"ALL", "Everything", "Explicit"}),
    ],
)
def test_labels_of_sample_files(name, expected):
    with open(get_testdata_file(name), "rb") as file:
        assert match_labels(RULES.labels, scan(file.read())) == expected


def test_an_instance_without_anything_is_still_all():
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PatientID = "1"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    assert match_labels((), scan(buffer.getvalue())) == {"ALL"}
