"""A synthetic but realistic archive for ``bench/search.py``: series of about 125 instances, about 90 elements each.

What varies inside a series is what varies in practice: UIDs, numbers, times, positions; in one series of thirty a
localizer (another ImageType), in one of a hundred slices of another thickness. UIDs are random, as they are after
de-identification.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from psycopg2.extras import execute_values

from common.database import Cursor, Database
from common.dicom_elements import Element
from common.tags import parse_tag_path
from website.index import Index, IndexDocument, InstanceIds
from website.index.document import document_of, orthanc_id, pack_id
from website.index.forms import delta_of, paths_of

_COUNT = """UPDATE research.series SET instances = given.n, mixed = given.mixed::integer[]
FROM (VALUES %s) AS given (n, mixed, id) WHERE series.id = given.id"""
STUDY_DESCRIPTIONS = [
    f"{modality} {region}{detail}"
    for modality in ("CT", "MR", "PET", "XR")
    for region in ("Chest", "Abdomen", "Head", "Thorax Angio", "Knee left", "Spine", "Pelvis", "Neck")
    for detail in ("", " w/o contrast", " with contrast", " follow-up", " low dose", " trauma")
]
MODELS = [f"{maker} Model {number}" for maker in ("ACME", "Globex", "Initech") for number in range(12)]
PROTOCOLS = [f"Protocol {number:03}" for number in range(150)]
CODES = [f"P{number:04}" for number in range(120)]
_CONSTANT = """SpecificCharacterSet=ISO_IR 192|InstanceCreationDate=20240101|SOPClassUID=1.2.840.10008.5.1.4.1.1.2
AccessionNumber=|Manufacturer=ACME|InstitutionName=Research|ReferringPhysicianName=|PatientIdentityRemoved=YES
DeidentificationMethod=Profile|SoftwareVersions=VA50|PatientPosition=HFS|DataCollectionDiameter=500.0|KVP=120.0
ReconstructionDiameter=360.0|DistanceSourceToDetector=1040.0|DistanceSourceToPatient=570.0|GantryDetectorTilt=0.0
TableHeight=150.0|RotationDirection=CW|ExposureTime=500|FilterType=FLAT|GeneratorPower=40|FocalSpots=1.2
ConvolutionKernel=B30f|PositionReferenceIndicator=|SamplesPerPixel=1|PhotometricInterpretation=MONOCHROME2
BitsAllocated=16|BitsStored=12|HighBit=11|PixelRepresentation=0|RescaleIntercept=-1024.0|RescaleSlope=1.0
RescaleType=HU|LossyImageCompression=00|PixelData=|BurnedInAnnotation=NO|ContrastBolusAgent=Iodine
AcquisitionType=SPIRAL|RevolutionTime=0.5|SingleCollimationWidth=0.6|TotalCollimationWidth=38.4
TableSpeed=46.0|TableFeedPerRotation=23.0|SpiralPitchFactor=0.6|ExposureModulationType=XYZ_EC|CTDIvol=7.5
PatientSex=F|PatientAge=055Y|PatientSize=1.7|PatientWeight=70.0|BodyPartExamined=CHEST|ScanOptions=HELIX
FileMetaInformationVersion=|MediaStorageSOPClassUID=1.2.840.10008.5.1.4.1.1.2|TransferSyntaxUID=1.2.840.10008.1.2.1
ImplementationClassUID=1.2.3.4|ImplementationVersionName=RPACS|PatientBirthDate=|StudyTime=101010|SeriesTime=101112
PerformedProcedureStepStartDate=20240101|ContentDate=20240101|AcquisitionDate=20240101|Laterality=""".replace("\n", "|")


@dataclass(frozen=True)
class Series:
    """A series of the archive."""

    ids: InstanceIds
    texts: dict[str, tuple[str, ...]]
    instances: int
    localizer: bool
    thin: bool


@cache
def _constant() -> dict[str, tuple[str, ...]]:
    pairs = (pair.split("=") for pair in _CONSTANT.split("|"))
    return {
        name: (value,) if value or name in ("PixelData", "FileMetaInformationVersion") else () for name, value in pairs
    }


def archive(instances: int) -> Iterator[Series]:
    """Yield the series of an archive of about so many instances; 2,500 studies and 8,000 series to a million."""
    rng = random.Random(20261123)
    count = max(8, instances * 8000 // 1_000_000)
    sizes = [rng.choice((25, 60, 90, 120, 150, 200, 230)) for _ in range(count)]
    sizes = [max(1, size * instances // sum(sizes)) for size in sizes]
    for number, size in enumerate(sizes):
        study = number * 2500 // 8000
        yield _series(number, study, study * 4 // 5, size)


def _series(number: int, study: int, patient: int, size: int) -> Series:
    rng, of_study = random.Random(number), random.Random(-1 - study)
    modality = rng.choices(("CT", "MR", "PT", "DX"), (45, 35, 10, 10))[0]
    rows = rng.choice(("512", "512", "256", "320", "1024"))
    texts = {
        **_constant(),
        "Modality": (modality,),
        "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "StudyDescription": (of_study.choice(STUDY_DESCRIPTIONS),),
        "StudyDate": (f"{of_study.randint(2008, 2026)}{of_study.randint(1, 12):02}{of_study.randint(1, 28):02}",),
        "SeriesDescription": (f"{modality} {rng.choice(PROTOCOLS)} axial",),
        "ProtocolName": (rng.choice(PROTOCOLS),),
        "ManufacturerModelName": (rng.choice(MODELS),),
        "StationName": (f"STATION{rng.randint(1, 40)}",),
        "PatientID": (f"ANON{patient:07}",),
        "PatientName": (f"ANON^{patient:07}",),
        "StudyInstanceUID": (_uid(of_study),),
        "SeriesInstanceUID": (_uid(rng),),
        "FrameOfReferenceUID": (_uid(rng),),
        "SeriesNumber": (str(rng.randint(1, 20)),),
        "Rows": (rows,),
        "Columns": (rows,),
        "SliceThickness": (rng.choice(("0.625", "1.0", "1.25", "2.5", "3.0", "5.0")),),
        "PixelSpacing": (rng.choice(("0.7", "0.8", "0.9")),) * 2,
        "ImageOrientationPatient": ("1.0", "0.0", "0.0", "0.0", "1.0", "0.0"),
        "ProcedureCodeSequence.CodeValue": (of_study.choice(CODES),),
        "ProcedureCodeSequence.CodingSchemeDesignator": ("LOCAL",),
        "ReferencedStudySequence.ReferencedSOPInstanceUID": (_uid(of_study),),
        "00290010": ("ACME HEADER",),
        "00291010": ("",),
    }
    ids = InstanceIds("", orthanc_id(f"s{number}"), orthanc_id(f"t{study}"), orthanc_id(f"p{patient}"))
    return Series(ids, texts, size, number % 30 == 7 and size > 1, number % 100 == 9 and size > 1)


def _uid(rng: random.Random) -> str:
    return f"2.25.{uuid.UUID(int=rng.getrandbits(128)).int}"


def _varying(series: Series, number: int, rng: random.Random) -> dict[str, tuple[str, ...]]:
    """Return what the instance of a number has of its own."""
    uid, second = _uid(rng), 36000 + number
    time = f"{second // 3600:02}{second // 60 % 60:02}{second % 60:02}.{rng.randint(0, 999999):06}"
    place = f"{number * 1.25:.2f}".rstrip("0") + ("0" if number * 1.25 == int(number * 1.25) else "")
    own: dict[str, tuple[str, ...]] = {
        "SOPInstanceUID": (uid,),
        "MediaStorageSOPInstanceUID": (uid,),
        "InstanceNumber": (str(number),),
        "InstanceCreationTime": (time,),
        "AcquisitionTime": (time,),
        "ContentTime": (time,),
        "ImagePositionPatient": ("-180.0", "-180.0", place),
        "SliceLocation": (place,),
        "XRayTubeCurrent": (str(rng.randint(90, 400)),),
        "Exposure": (str(rng.randint(40, 200)),),
        "WindowCenter": (f"{rng.randint(30, 60)}.0",),
        "WindowWidth": (f"{rng.randint(300, 400)}.0",),
    }
    if series.localizer and number == 2:
        own["ImageType"] = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    if series.thin and number % 2 == 0:
        own["SliceThickness"] = ("0.5",)
    return own


def instances_of(series: Series, first: int = 1) -> Iterator[tuple[InstanceIds, dict[str, tuple[str, ...]]]]:
    """Yield the identifiers and what varies of a series' instances, from a number on."""
    rng = random.Random(series.ids.series)
    for number in range(1, series.instances + 1):
        own = _varying(series, number, rng)
        if number >= first:
            instance = orthanc_id(own["SOPInstanceUID"][0])
            yield InstanceIds(instance, series.ids.series, series.ids.study, series.ids.patient), own


def document(series: Series, ids: InstanceIds, own: dict[str, tuple[str, ...]]) -> IndexDocument:
    """Make the whole document of an instance, as the product does."""
    tree: dict[int, object] = {}
    for name, texts in {**series.texts, **own}.items():
        *above, tag = _path(name)
        level = tree
        for sequence in above:
            level = level.setdefault(sequence, {})  # type: ignore[assignment]
        level[tag] = texts
    return document_of(ids, _elements(tree))


_path = cache(parse_tag_path)


def _elements(tree: dict[int, object]) -> tuple[Element, ...]:
    return tuple(
        Element(tag, "SQ", items=(_elements(found),)) if isinstance(found, dict) else Element(tag, "LO", found)  # type: ignore[arg-type]
        for tag, found in sorted(tree.items())
    )


def load(database: Database, index: Index, instances: int) -> int:
    """Fill an empty index: the first instance of each series by the product, the others by COPY; returns how many."""
    series = list(archive(instances))
    for at in range(0, len(series), 100):
        batch = series[at : at + 100]
        index.add([document(each, *next(instances_of(each))) for each in batch])
    with database.transaction() as cursor:
        cursor.execute("SELECT path, id FROM research.path")
        numbers = dict(cursor.fetchall())
        cursor.execute(
            "SELECT series.orthanc, series.id, i.shape FROM research.series"
            " JOIN research.instance AS i ON i.series = series.id"
        )
        known = {bytes(orthanc): (number, shape) for orthanc, number, shape in cursor.fetchall()}
    database.close()  # no connection may be shared with the processes below
    parts = [series[at : at + 500] for at in range(0, len(series), 500)]
    with multiprocessing.get_context("fork").Pool(2, _SHARED.update, ({"copy": (database, numbers, known)},)) as pool:
        total = sum(pool.imap_unordered(_copy_part, parts))
    with database.connection() as connection, connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return total


_SHARED: dict[str, tuple[Database, dict[str, int], dict[bytes, tuple[int, int]]]] = {}


def _copy_part(series: list[Series]) -> int:
    return _copy(*_SHARED["copy"], series)


def _copy(
    database: Database, numbers: dict[str, int], known: dict[bytes, tuple[int, int]], series: list[Series]
) -> int:
    """Copy all but the first instance of some series; returns how many instances they have."""
    buffer, counted, total = io.StringIO(), [], 0
    of_name: dict[str, int] = {}
    with database.transaction() as cursor:
        for each in series:
            number, shape = known[pack_id(each.ids.series)]
            base = {_number(numbers, of_name, name): list(texts) for name, texts in _first(each).items()}
            mixed: set[int] = set()
            for at, (ids, own) in enumerate(instances_of(each, 2), 2):
                values = {_number(numbers, of_name, name): list(texts) for name, texts in own.items()}
                delta = delta_of({path: base[path] for path in values if path > 2}, values)
                mixed |= paths_of(delta)
                body = json.dumps(delta, separators=(",", ":")).replace("\\", "\\\\")
                buffer.write(f"\\\\x{ids.instance.replace('-', '')}\t{number}\t{shape}\t{at}\t{body}\n")
            counted.append((each.instances, sorted(mixed), number))
            total += each.instances
            if buffer.tell() > 20_000_000:
                _flush(cursor, buffer)
        _flush(cursor, buffer)
        execute_values(cursor, _COUNT, counted, page_size=500)
    return total


def _first(series: Series) -> dict[str, tuple[str, ...]]:
    return {**series.texts, **next(instances_of(series))[1]}


def _number(numbers: dict[str, int], known: dict[str, int], name: str) -> int:
    if name not in known:
        known[name] = numbers[".".join(f"{tag:08X}" for tag in parse_tag_path(name))]
    return known[name]


def _flush(cursor: Cursor, buffer: io.StringIO) -> None:
    buffer.seek(0)
    cursor.copy_expert("COPY research.instance (orthanc, series, shape, number, delta) FROM STDIN", buffer)
    buffer.seek(0)
    buffer.truncate()
