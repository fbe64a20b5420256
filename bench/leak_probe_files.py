"""Synthetic instances of twelve IODs, one also in RLE, with a marked identifier in every place where one may hide.

Each mark is unique and stands once in a file, so a mark in the bytes of a result tells the place that leaked.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pydicom
from pydicom import config
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from bench.leak_probe_iods import COMMON, IODS, STORAGE, complete
from bench.leak_probe_marks import Marker, Probe
from deidentifier.profiles.tables import read_rows


def listed() -> Iterator[tuple[str, str]]:
    """Yield the attributes of the profile's table with their VR, but for those that tell what a file is."""
    for row in read_rows():
        if row.keyword and row.keyword not in _LEFT_OUT:
            yield row.keyword, DicomDictionary[int(row.tag, 16)][0].split(" or ")[0]


_LEFT_OUT = {"StudyComments", "DataSetTrailingPadding", "EncapsulatedDocument", "SOPInstanceUID", "ContentSequence",
             "MediaStorageSOPInstanceUID", "ReferencedSOPInstanceUIDInFile", "StorageMediaFileSetUID",
             "AffectedSOPInstanceUID", "RequestedSOPInstanceUID"}  # fmt: skip


def _plant(dataset: Dataset, marker: Marker, path: str, keywords: Iterator[tuple[str, str]], dates: bool) -> None:
    for keyword, vr in keywords:
        if keyword in dataset:
            continue
        if vr in ("DA", "DT") and dates:
            setattr(dataset, keyword, marker.date(f"{path}{keyword}", vr))
        elif (value := marker.mark(f"{path}{keyword}", vr)) is not None:
            setattr(dataset, keyword, value)


def _item(marker: Marker, path: str) -> Dataset:
    item = Dataset()
    for keyword in ("PatientID", "OperatorsName", "InstitutionName", "PatientComments", "AccessionNumber"):
        vr = DicomDictionary[pydicom.datadict.tag_for_keyword(keyword)][0]
        setattr(item, keyword, marker.mark(f"{path}.{keyword}", vr))
    item.StudyInstanceUID = marker.mark(f"{path}.StudyInstanceUID", "UI")
    return item


def _code(marker: Marker, path: str) -> Dataset:
    item = Dataset()
    item.CodeValue = marker.mark(f"{path}.CodeValue", "SH")
    item.CodingSchemeDesignator = "99LOCAL"
    item.CodeMeaning = marker.mark(f"{path}.CodeMeaning", "LO")
    return item


def _hide(probe: Probe, marker: Marker) -> None:
    """Put marks into every kind of place."""
    dataset = probe.dataset
    _plant(dataset, marker, "", listed(), True)
    others = ("IssuerOfPatientID", "StudyIDIssuer", "ResponsibleOrganization", "TypeOfPatientID", "LUTLabel",
              "AcquisitionProtocolName", "StationAETitle", "FrameLabel", "RadiationMachineName", "ContentDescription",
              "ContentLabel", "BodyPartExamined", "PartialViewDescription", "FiducialIdentifier", "TrackingID",
              "ImageID", "CalibrationNotes", "DeviceID", "GridID", "ConfigurationName", "SoftwareVersions")  # fmt: skip
    for keyword in others:
        _plant(
            dataset, marker, "", iter([(keyword, DicomDictionary[pydicom.datadict.tag_for_keyword(keyword)][0])]), True
        )
    for keyword in ("RequestAttributesSequence", "ReferencedStudySequence", "OtherPatientIDsSequence",
                    "OriginalAttributesSequence", "SourceImageSequence", "CTExposureSequence", "UDISequence",
                    "ReferencedPerformedProcedureStepSequence", "ContributingEquipmentSequence"):  # fmt: skip
        outer = _item(marker, keyword)
        outer.PurposeOfReferenceCodeSequence = [_item(marker, f"{keyword}.PurposeOfReferenceCodeSequence")]
        setattr(dataset, keyword, [outer])
    for keyword in ("ProcedureCodeSequence", "InstitutionCodeSequence", "AdmittingDiagnosesCodeSequence"):
        setattr(dataset, keyword, [_code(marker, keyword)])
    _hide_private(dataset, marker)
    _hide_by_number(dataset, marker)
    text = marker.mark("dates in text", "LO")
    dataset.StudyComments = f"seen {marker.date('date in text', 'DA')} by {text}, call 044-{marker.mark('phone', 'SH')}"


def _hide_private(dataset: Dataset, marker: Marker) -> None:
    for number, creator in enumerate(("NOBODY KNOWS", "SIEMENS MED", "GEMS_ACQU_01")):
        block = dataset.private_block(0x0019 + 2 * (number > 0) * number, creator, create=True)
        for offset, vr in ((0x01, "LO"), (0x02, "UN"), (0x03, "OB"), (0x04, "PN"), (0x05, "UI"), (0x18, "LT")):
            block.add_new(offset, vr, marker.mark(f"private {creator} {offset:02X}", vr))
        block.add_new(0x06, "SQ", [_item(marker, f"private {creator} sequence")])
    safe = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
    safe.add_new(0x27, "SH", marker.mark("safe private text", "SH"))
    creator = dataset.private_block(0x0071, str(marker.mark("private creator", "LO")), create=True)
    creator.add_new(0x01, "DS", "1")


def _hide_by_number(dataset: Dataset, marker: Marker) -> None:
    """Put marks into curves, overlays, unknown elements and padding."""
    for group in (0x5000, 0x5002, 0x501E):
        dataset.add_new((group, 0x2500), "LO", marker.mark(f"curve {group:04X} label", "LO"))
        dataset.add_new((group, 0x3000), "OB", marker.mark(f"curve {group:04X} data", "OB"))
    for group in (0x6000, 0x6002, 0x601E):
        dataset.add_new((group, 0x0022), "LO", marker.mark(f"overlay {group:04X} description", "LO"))
        dataset.add_new((group, 0x1500), "LO", marker.mark(f"overlay {group:04X} label", "LO"))
        dataset.add_new((group, 0x3000), "OB", marker.mark(f"overlay {group:04X} data", "OB"))
        dataset.add_new((group, 0x4000), "LT", marker.mark(f"overlay {group:04X} comments", "LT"))
    dataset.add_new(0x00081FFE, "LO", marker.mark("unknown element", "LO"))
    dataset.add_new(0x00181FFE, "UN", marker.mark("unknown element of unknown VR", "UN"))
    dataset.add_new(0xFFFCFFFC, "OB", marker.mark("trailing padding", "OB"))
    dataset.ICCProfile = _icc(marker)
    encrypted = Dataset()
    encrypted.EncryptedContentTransferSyntaxUID = ExplicitVRLittleEndian
    encrypted.EncryptedContent = marker.mark("encrypted content", "OB")
    dataset.EncryptedAttributesSequence = [encrypted]
    icon = Dataset()
    icon.Rows = icon.Columns = icon.BitsAllocated = 8
    icon.PixelData = marker.mark("icon", "OB")
    dataset.IconImageSequence = [icon]
    described = Dataset()
    described.PrivateCreatorReference = marker.mark("private characteristics", "LO")
    dataset.PrivateDataElementCharacteristicsSequence = [described]


def _write(probe: Probe, marker: Marker, *, implicit: bool) -> None:
    dataset, meta = probe.dataset, FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    if probe.name == "CT in RLE":
        meta.TransferSyntaxUID = RLELossless
        dataset.PixelData = _rle(marker)
    meta.MediaStorageSOPClassUID = probe.sop_class
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle"):
        setattr(meta, keyword, marker.mark(f"file meta {keyword}", "AE"))
    meta.ImplementationVersionName = str(marker.mark("file meta version", "SH"))
    meta.PrivateInformationCreatorUID = marker.mark("file meta private creator", "UI")
    meta.PrivateInformation = marker.mark("file meta private", "OB")
    dataset.file_meta = meta
    dataset.preamble = marker.mark("preamble", "OB").ljust(128, b"\0")
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    probe.data = buffer.getvalue() + marker.mark("bytes after the end", "OB")


def _icc(marker: Marker) -> bytes:
    """Return an ICC profile with marks in a text, in a tag of a maker's own, and behind its end."""
    text, own, behind = (bytes(marker.mark(f"ICC profile {place}", "OB")) for place in ("text", "own tag", "end"))
    tags = ((b"cprt", b"text\0\0\0\0" + text), (b"OwnT", own))
    table, body = len(tags).to_bytes(4, "big"), b""
    for name, data in tags:
        table += name + (156 + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    header = (156 + len(body)).to_bytes(4, "big") + bytes(32) + b"acsp" + bytes(88)
    return header + table + body + behind


def _rle(marker: Marker) -> bytes:
    """Return 16 × 16 pixels of two bytes with marks wherever a frame of RLE has room for them."""

    def mark(place: str) -> bytes:
        return bytes(marker.mark(f"RLE {place}", "OB"))

    unused, before, table = mark("unused offsets"), mark("before the segments"), mark("offset table")
    segments = [b"\x81\0\x81\0" + mark(f"after segment {number}") for number in (1, 2)]
    offsets = [64 + len(before), 64 + len(before) + len(segments[0])]
    header = b"".join(number.to_bytes(4, "little") for number in (2, *offsets)) + unused
    frame = header.ljust(64, b"\0") + before + b"".join(segments)
    item = b"\xfe\xff\x00\xe0"
    return b"".join(item + len(part).to_bytes(4, "little") + part for part in (table, frame))


def build_probe(name: str, seed: int = 0, *, implicit: bool = False) -> Probe:
    """Return the probe of an IOD."""
    suffix, values = IODS[name]
    dataset = Dataset()
    probe = Probe(name, STORAGE + suffix, dataset, {})
    marker = Marker(probe, 100_000 + 10_000 * list(IODS).index(name) + 1000 * seed)
    with config.disable_value_validation():
        dataset.SOPClassUID = probe.sop_class
        dataset.SOPInstanceUID = marker.mark("SOPInstanceUID", "UI")
        dataset.SpecificCharacterSet = "ISO_IR 100"
        for keyword, value in {**COMMON, **values}.items():
            setattr(dataset, keyword, value)
            if keyword != "PixelData":
                probe.kept[keyword] = str(dataset[keyword].value)
        dataset.PatientName = marker.mark("PatientName", "PN").replace("Given", "Jörg")
        complete(name, probe, marker)
        _hide(probe, marker)
        _write(probe, marker, implicit=implicit)
    return probe
