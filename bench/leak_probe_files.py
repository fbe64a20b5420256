"""Synthetic instances of twelve IODs, one also in RLE, with a marked identifier in every place where one may hide.

Each mark is unique and stands once in a file, so a mark in the bytes of a result tells the place that leaked.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pydicom
from pydicom import config
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from deidentifier.profiles.tables import read_rows

TEXT = {"AE": 16, "LO": 64, "LT": 200, "PN": 64, "SH": 16, "ST": 200, "UC": 200, "UR": 60, "UT": 200, "CS": 16}
UID_ROOT = "1.3.6.1.4.1.99999."
CT = "1.2.840.10008.5.1.4.1.1."


@dataclass
class Probe:
    """A file, its marks by place, and the values that research needs, by path."""

    name: str
    sop_class: str
    dataset: Dataset
    kept: dict[str, Any]
    marks: dict[str, bytes] = field(default_factory=dict)
    data: bytes = b""


class Marker:
    """Makes unique marks that are legal for a VR."""

    def __init__(self, probe: Probe, start: int) -> None:
        self._probe = probe
        self._numbers = itertools.count(start)

    def mark(self, place: str, vr: str) -> Any:
        """Return a value with a mark, and remember where it is put; None where the VR has no room for one."""
        number = next(self._numbers)
        text = f"QZ{number:06d}XW"
        if vr == "UI":
            return self._remember(place, f"{UID_ROOT}{number}")
        if vr in ("OB", "UN", "OW"):
            return self._remember(place, text).encode() + b"  "
        if vr == "PN":
            return self._remember(place, f"{text}^Given")[:-6] + "^Given"
        if vr in TEXT:
            return self._remember(place, text)
        return None

    def date(self, place: str, vr: str) -> str:
        """Return a date that stands nowhere else in the file."""
        number = next(self._numbers)
        day = f"{1931 + number % 60}{number % 12 + 1:02}{number % 28 + 1:02}"
        return self._remember(place, day) + ("101112" if vr == "DT" else "")

    def _remember(self, place: str, text: str) -> str:
        self._probe.marks[place] = text.removesuffix("^Given").encode()
        return text


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


def _image(rows: int = 16, bits: int = 16, frames: int = 1, samples: int = 1) -> dict[str, Any]:
    size = rows * rows * (bits // 8) * frames * samples
    values: dict[str, Any] = {
        "Rows": rows, "Columns": rows, "SamplesPerPixel": samples, "BitsAllocated": bits, "BitsStored": bits,
        "HighBit": bits - 1, "PixelRepresentation": 0, "PixelData": bytes(size),
        "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
    }  # fmt: skip
    if samples == 3:
        values["PlanarConfiguration"] = 0
    return values | ({"NumberOfFrames": str(frames)} if frames > 1 else {})


_GEOMETRY = {
    "ImagePositionPatient": [-100.5, -90.25, 17.5], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.7, 0.7], "SliceThickness": "1.25", "SliceLocation": "17.5", "PatientPosition": "HFS",
}  # fmt: skip
_COMMON = {"Manufacturer": "SIEMENS", "ManufacturerModelName": "Somatom X", "SeriesNumber": "3", "InstanceNumber": "7",
           "StudyTime": "101112", "SeriesTime": "101210", "PatientAge": "061Y", "PatientSex": "F", "PatientSize": "1.7",
           "PatientWeight": "71.5"}  # fmt: skip

IODS: dict[str, tuple[str, dict[str, Any]]] = {
    "CT": ("2", {**_GEOMETRY, **_image(), "Modality": "CT", "KVP": "120", "ConvolutionKernel": "B30f",
        "XRayTubeCurrent": "200", "ExposureTime": "500", "RescaleSlope": "1", "RescaleIntercept": "-1024",
        "RescaleType": "HU",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ScanOptions": "HELICAL", "CTDIvol": 12.5,
        "SeriesDescription": "CT Thorax 1.25mm", "BodyPartExamined": "CHEST", "ProtocolName": "Chest routine"}),
    "enhanced MR": ("4.1", {**_image(frames=2), "Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "T1", "NONE"],
        "MagneticFieldStrength": "3", "PulseSequenceName": "*tfl3d1", "ResonantNucleus": "1H",
        "AcquisitionContrast": "T1", "EchoPulseSequence": "GRADIENT", "SeriesDescription": "t1_mprage_sag"}),
    "US multi-frame": ("3.1", {**_image(rows=64, bits=8, frames=2, samples=3), "Modality": "US", "FrameTime": "33.3",
        "ImageType": ["ORIGINAL", "PRIMARY"], "TransducerFrequency": 5000, "MechanicalIndex": "1.1"}),
    "CR": ("1", {**_image(), "Modality": "CR", "KVP": "60", "ViewPosition": "AP", "Sensitivity": "200",
        "ImagerPixelSpacing": [0.1, 0.1], "ImageType": ["ORIGINAL", "PRIMARY"], "BodyPartExamined": "CHEST"}),
    "MG": ("1.2", {**_image(), "Modality": "MG", "ImageLaterality": "L", "KVP": "28", "CompressionForce": "80",
        "BodyPartThickness": "52", "AnodeTargetMaterial": "MOLYBDENUM", "FilterMaterial": "RHODIUM",
        "ImageType": ["ORIGINAL", "PRIMARY"], "ViewPosition": "MLO", "PresentationIntentType": "FOR PRESENTATION"}),
    "PT": ("128", {**_GEOMETRY, **_image(), "Modality": "PT", "Units": "BQML", "DecayCorrection": "START",
        "ImageType": ["ORIGINAL", "PRIMARY"], "ScatterCorrectionMethod": "Model-based", "FrameReferenceTime": "1500",
        "ActualFrameDuration": "120000", "AttenuationCorrectionMethod": "measured", "ReconstructionMethod": "OSEM 3D"}),
    "NM": ("20", {**_image(frames=2), "Modality": "NM", "ImageType": ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"],
        "NumberOfDetectors": 2, "PatientPosition": "HFS", "TypeOfDetectorMotion": "STATIONARY",
        "CountsAccumulated": "500000", "EnergyWindowVector": [1, 1]}),
    "RTSTRUCT": ("481.3", {"Modality": "RTSTRUCT", "StructureSetLabel": "Plan 1", "ApprovalStatus": "UNAPPROVED"}),
    "RTPLAN": ("481.5", {"Modality": "RTPLAN", "RTPlanLabel": "Plan 1", "RTPlanGeometry": "PATIENT", "PlanIntent":
        "CURATIVE"}),
    "SEG": ("66.4", {**_image(bits=8, frames=2), "Modality": "SEG", "ImageType": ["DERIVED", "PRIMARY"],
        "SegmentationType": "FRACTIONAL", "MaximumFractionalValue": 255, "SegmentationFractionalType": "OCCUPANCY"}),
    "SR": ("88.33", {"Modality": "SR", "ValueType": "CONTAINER", "CompletionFlag": "COMPLETE",
        "VerificationFlag": "UNVERIFIED"}),
    "SC": ("7", {**_image(rows=64, bits=8), "Modality": "OT", "ConversionType": "WSD",
        "ImageType": ["DERIVED", "SECONDARY"]}),
}  # fmt: skip
IODS["CT in RLE"] = IODS["CT"]


def _sequence_of(keyword: str, **values: Any) -> Callable[[Dataset], None]:
    def add(dataset: Dataset) -> None:
        item = Dataset()
        for name, value in values.items():
            setattr(item, name, value)
        setattr(dataset, keyword, [item])

    return add


def _content(value_type: str, code: str, **values: Any) -> Dataset:
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = code, "DCM", "Finding"
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence, item.RelationshipType = value_type, [name], "CONTAINS"
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _complete(name: str, probe: Probe, marker: Marker) -> None:
    """Add the nested values that an IOD's research needs, and marks in its own sequences."""
    dataset = probe.dataset
    if name == "PT":
        _sequence_of(
            "RadiopharmaceuticalInformationSequence", RadiopharmaceuticalStartTime="093000",
            RadionuclideTotalDose="350000000", RadionuclideHalfLife="6586.2", Radiopharmaceutical="FDG",
            PatientID=marker.mark("RadiopharmaceuticalInformationSequence.PatientID", "LO"),
        )(dataset)  # fmt: skip
        for keyword, value in (("RadiopharmaceuticalStartTime", "093000"), ("RadionuclideTotalDose", "350000000")):
            probe.kept[f"RadiopharmaceuticalInformationSequence.0.{keyword}"] = value
        block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "1.234")  # SUV scale factor
        probe.kept["70531000"] = "1.234"
    if name == "enhanced MR":
        block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", "1000")  # b value
        probe.kept["private b value"] = "1000"
    if name == "RTSTRUCT":
        _sequence_of("StructureSetROISequence", ROINumber="1", ROIName="Lung left",
                     ROIDescription=marker.mark("ROIDescription", "ST"))(dataset)  # fmt: skip
        probe.kept["StructureSetROISequence.0.ROIName"] = "Lung left"
        contour = Dataset()
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", "1"
        contour.ContourData = [1.5, 2.5, 3.5]
        _sequence_of("ROIContourSequence", ReferencedROINumber="1", ContourSequence=[contour])(dataset)
        probe.kept["ROIContourSequence.0.ContourSequence.0.ContourData"] = "[1.5, 2.5, 3.5]"
    if name == "RTPLAN":
        _sequence_of("BeamSequence", BeamNumber="1", BeamType="STATIC", RadiationType="PHOTON",
                     BeamDescription=marker.mark("BeamDescription", "ST"))(dataset)  # fmt: skip
        probe.kept["BeamSequence.0.RadiationType"] = "PHOTON"
    if name == "SEG":
        _sequence_of("SegmentSequence", SegmentNumber=1, SegmentLabel="Liver", SegmentAlgorithmType="MANUAL")(dataset)
        probe.kept["SegmentSequence.0.SegmentLabel"] = "Liver"
    if name == "SR":
        number = Dataset()
        number.NumericValue = "12.5"
        dataset.ContentSequence = [
            _content("NUM", "121206", MeasuredValueSequence=[number]),
            _content("TEXT", "121071", TextValue=f"seen by {marker.mark('SR text', 'UT')}"),
            _content("TEXT", "121022", TextValue=marker.mark("SR accession number", "UT")),
            _content("PNAME", "121008", PersonName=marker.mark("SR person", "PN")),
            _content("UIDREF", "112002", UID=marker.mark("SR UID", "UI")),
            _content("DATE", "111018", Date=marker.date("SR date", "DA")),
        ]
        probe.kept["ContentSequence.0.MeasuredValueSequence.0.NumericValue"] = "12.5"


def build_probe(name: str, seed: int = 0, *, implicit: bool = False) -> Probe:
    """Return the probe of an IOD."""
    suffix, values = IODS[name]
    dataset = Dataset()
    probe = Probe(name, CT + suffix, dataset, {})
    marker = Marker(probe, 100_000 + 10_000 * list(IODS).index(name) + 1000 * seed)
    with config.disable_value_validation():
        dataset.SOPClassUID = probe.sop_class
        dataset.SOPInstanceUID = marker.mark("SOPInstanceUID", "UI")
        dataset.SpecificCharacterSet = "ISO_IR 100"
        for keyword, value in {**_COMMON, **values}.items():
            setattr(dataset, keyword, value)
            if keyword != "PixelData":
                probe.kept[keyword] = str(dataset[keyword].value)
        dataset.PatientName = marker.mark("PatientName", "PN").replace("Given", "Jörg")
        _complete(name, probe, marker)
        _hide(probe, marker)
        _write(probe, marker, implicit=implicit)
    return probe
