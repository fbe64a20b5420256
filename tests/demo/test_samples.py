"""The demo's files: there, one per SOP Instance UID, of many kinds, and all stored by Orthanc."""

import pydicom
import pytest
import requests

from common.errors import ConfigurationError
from demo.samples import read_samples, sample_paths
from demo.send import send


def test_every_file_is_installed_and_its_own_instance():
    samples = read_samples(sample_paths())
    assert len({sample.sop_instance_uid for sample in samples}) == len(samples) > 100


def test_the_samples_are_a_mixed_clinic():
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sample_paths()]
    assert {"CT", "MR", "US", "CR"} <= {header.get("Modality") for header in headers}
    assert len({header.get("PatientID") for header in headers}) > 20
    assert any(int(header.get("NumberOfFrames") or 1) > 1 for header in headers)
    assert any(header.get("SamplesPerPixel") == 3 for header in headers)
    assert len({header.file_meta.TransferSyntaxUID for header in headers}) > 6


def test_all_are_stored_by_c_store(source_orthanc):
    samples = read_samples(sample_paths())
    answers = list(send(samples, "127.0.0.1", source_orthanc.dicom_port, source_orthanc.aet))
    assert {answer.status for answer in answers} == {"Success"}
    statistics = requests.get(f"{source_orthanc.url}/statistics", auth=source_orthanc.auth, timeout=10).json()
    assert statistics["CountInstances"] == len(samples)


def test_a_wrong_called_ae_title_is_said(source_orthanc):
    samples = read_samples(sample_paths()[:1])
    with pytest.raises(ConfigurationError, match="Called AE Title Not Recognized"):
        list(send(samples, "127.0.0.1", source_orthanc.dicom_port, "WRONG"))
