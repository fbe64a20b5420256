"""Damaged files: a typed error or a valid result, never anything else, and never a partial file."""

import io
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from common.dicom_scan import scan
from common.errors import PermanentError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES

SAMPLES = (
    "CT_small.dcm", "MR_small.dcm", "reportsi.dcm", "rtplan.dcm", "image_dfl.dcm", "ExplVR_BigEnd.dcm",
    "JPEG2000.dcm", "nested_priv_SQ.dcm", "UN_sequence.dcm", "no_meta.dcm", "rtstruct.dcm",
)  # fmt: skip

ALL = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n"
EVERY_TRANSFORMATION = (
    ALL
    + """\
  ShiftDateTime:
  - {TagPatterns: ["*/{DA}", "*/{DT}", "*/{TM}"], ShiftBy: 100000, ReuseMapping: SameStudy}
  RandomizeText:
  - {TagPatterns: "*/*", ExceptTagPatterns: ["*/{SQ}", "*/PixelData", "*/{OB}", "*/{OW}", "*/{US}", "*/{CS}"]}
  RandomizeUID:
  - {TagPatterns: "*/{UI}"}
  AddTags:
  - {Tag: PatientComments, VR: LT, Value: added, OverwriteIfExists: true}
  DeleteTags:
  - {TagPatterns: "*/XXX1XXXX", Action: Remove}
  - {TagPatterns: ["*/{ST}", "*/{UN}"], Action: Empty}
"""
)


@pytest.fixture(scope="module")
def deidentifiers():
    texts = (EVERY_TRANSFORMATION, DEFAULT_RULES.read_text())
    return [Deidentifier(load_rules(text), MemoryMappings(), max_inflated=50_000_000) for text in texts]


def sample(name):
    return Path(get_testdata_file(name)).read_bytes()


def judge(deidentifiers, data):
    """De-identify; anything but a typed permanent error or a file that can be scanned again fails the test."""
    for deidentifier in deidentifiers:
        try:
            outcome = deidentifier.deidentify(data)
        except PermanentError:
            continue
        if outcome.state == "deidentified":
            assert outcome.data[128:132] == b"DICM"
            scan(outcome.data)


@pytest.mark.parametrize("name", SAMPLES)
def test_truncated(deidentifiers, name):
    data = sample(name)
    for length in range(0, min(len(data), 12_000), 97):
        judge(deidentifiers, data[:length])


@pytest.mark.parametrize("name", SAMPLES)
def test_flipped(deidentifiers, name):
    data, randomness = sample(name), random.Random(name)
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(randomness.randint(1, 8)):
            broken[randomness.randrange(min(len(data), 8_000))] ^= 1 << randomness.randrange(8)
        judge(deidentifiers, bytes(broken))


@pytest.mark.parametrize("data", [b"", b"\0", b"DICM", bytes(132), bytes(128) + b"DICM", b"\xff" * 1000, bytes(5000)])
def test_what_is_hardly_anything(deidentifiers, data):
    judge(deidentifiers, data)


def deflated(size):
    """Return a deflated file that inflates to some private data of a size."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID, dataset.SOPInstanceUID = pydicom.uid.CTImageStorage, "1.2.3"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    head = buffer.getvalue()
    length = pydicom.dcmread(io.BytesIO(head)).file_meta.FileMetaInformationGroupLength + 132 + 12
    body = b"\xe0\x7f\x10\x00OB\0\0" + size.to_bytes(4, "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(body) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20))
    return head[:length] + packed + packer.flush()


def test_a_deflated_bomb_is_refused_before_it_grows():
    code = """
import resource, sys
from common.errors import PermanentError
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
data = sys.stdin.buffer.read()
rules = load_rules("Labels: []\\nScopeToForward: {Labels: ALL}\\nTransformations: []\\n")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    Deidentifier(rules, MemoryMappings(), max_inflated=10_000_000).deidentify(data)
except PermanentError as exc:
    print(exc.code, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    bomb = deflated(400 << 20)
    assert len(bomb) < 1_000_000
    done = subprocess.run([sys.executable, "-c", code], input=bomb, capture_output=True, check=True, timeout=120)
    code, megabytes = done.stdout.split()
    assert code in (b"InvalidDicom", b"Refused")
    assert int(megabytes) < 120
