"""The IODs of bench/leak_probe.py: what research needs of each, and the marks in sequences of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydicom.dataset import Dataset

from bench.leak_probe_marks import Marker, Probe

STORAGE = "1.2.840.10008.5.1.4.1.1."
"""What the UIDs of storage SOP classes begin with."""


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
COMMON = {"Manufacturer": "SIEMENS", "ManufacturerModelName": "Somatom X", "SeriesNumber": "3", "InstanceNumber": "7",
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


def complete(name: str, probe: Probe, marker: Marker) -> None:
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
