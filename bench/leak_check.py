"""The leak check: are identifiers found that were planted into results, and are common words left alone.

``python bench/leak_check.py [--quick] [--json FILE]``

5,000 identifiers of 200 invented patients are planted, one at a time, into results of the default rules: in all ways of
writing that people and programs use, in text, nested items, private and unknown bytes. Then files of patients and
physicians whose names are words of radiology are de-identified: none may go to quarantine.
"""

from __future__ import annotations

import base64
import io
import random
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pydicom
from pydicom import config
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.deidentify_corpus import ct_slice
from bench.goals import Benchmark, arguments
from common.dicom_scan import scan
from deidentifier.deidentify import Deidentifier
from deidentifier.file_meta import DicomFile
from deidentifier.leak_patterns import MIN_RAW
from deidentifier.leaks import Expectation, LeakError, find_leaks
from deidentifier.mappings import MemoryMappings
from deidentifier.profiles.identifying import Identities
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES

FAMILY = ("Abernathy", "Özdemir", "Łukasiewicz", "Nguyen", "Müller", "O'Connor", "De la Cruz", "Sørensen", "Roe",
          "Kovács", "Iwanowa", "Fernández", "Wu", "Lindqvist", "Abdulrahman", "Thistlewood", "Żak", "Castellano",
          "Petrov", "Xu")  # fmt: skip
GIVEN = ("Zoe", "Jörg", "Anneliese", "Minh", "Siobhán", "Bartholomew", "Li", "Guadalupe", "Yusuf", "Ingrid")
WORDS = ("Head", "Long", "Brown", "Hand", "White", "Small", "Young", "Left", "Field", "Shell", "Stone", "Short", "Hall",
         "Spring", "Black", "Major", "Day", "Wood", "Cross", "Bone", "Chest", "Foot", "Temple", "Grant",
         "Park")  # fmt: skip
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip


def patient(number: int, draw: random.Random, family: str, given: str) -> Dataset:
    """Return the header of an invented patient's slice."""
    dataset = pydicom.dcmread(io.BytesIO(ct_slice(number)))
    with config.disable_value_validation():
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName, dataset.PatientID = f"{family}^{given}", f"MRN-{draw.randrange(10**6, 10**7)}"
        day = f"{draw.randrange(1930, 2010)}{draw.randrange(1, 13):02}{draw.randrange(1, 29):02}"
        dataset.PatientBirthDate = day
        dataset.AccessionNumber = f"ACC{draw.randrange(10**5, 10**6)}"
        dataset.PatientAddress = f"{draw.randrange(1, 99)} Kirkstall Crescent {draw.randrange(100, 999)}"
        dataset.PatientTelephoneNumbers = f"+44 113 {draw.randrange(100, 999)} {draw.randrange(1000, 9999)}"
        dataset.ReferringPhysicianAddress = (
            f"Practice of Dr. Ermintrude Postlethwaite\r\nBarnoldswick Close {number}\r\nYO{number + 100} Thwaite"
        )
        dataset.PatientMotherBirthName = "Wolstenholme^Ottoline"
        dataset.InstitutionAddress = (
            f"Building {number + 100} on the eastern side of Micklegate Bar behind the Merchant Adventurers Hall"
        )
        dataset.InstitutionName = "Saint Ethelburga Infirmary"
        dataset.ReferringPhysicianName = "Featherstonehaugh^Cuthbert"
        dataset.StudyInstanceUID = f"1.3.6.1.4.1.99999.1.{number}"
        dataset.SOPInstanceUID = f"1.3.6.1.4.1.99999.2.{number}"
        dataset.StudyDate = "20210405"
    return dataset


def write(dataset: Dataset) -> bytes:
    """Return the bytes of a file."""
    buffer = io.BytesIO()
    with config.disable_value_validation():
        dataset.save_as(buffer)
    return buffer.getvalue()


def spellings(dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    """Yield how a patient's identifiers may be written, with what is tried."""
    family, given = str(dataset.PatientName).split("^")
    born = str(dataset.PatientBirthDate)
    year, month, day = born[:4], born[4:6], born[6:]
    # What has no base letter in Unicode (ø, Ł) is left as it is.
    plain, folded = (
        "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
        for name in (family, given)
    )
    texts = {
        "name": f"{family}^{given}", "family, given": f"{family}, {given}", "given family": f"{given} {family}",
        "upper case": f"{given} {family}".upper(), "lower case": f"{family} {given}".lower(),
        "joined": f"{given}{family}", "with dots": f"{given}.{family}".lower(),
        "no diacritics": f"{folded} {plain}",
        "patient ID": str(dataset.PatientID), "patient ID lower": str(dataset.PatientID).lower(),
        "patient ID squeezed": str(dataset.PatientID).replace("-", ""), "accession": str(dataset.AccessionNumber),
        "born 1": f"{day}.{month}.{year}", "born 2": f"{year}-{month}-{day}", "born 3": f"{month}/{day}/{year}",
        "born 4": f"{int(day)} {_MONTHS[int(month) - 1]} {year}",
        "born 5": f"{day}-{_MONTHS[int(month) - 1][:3]}-{year}",
        "address": str(dataset.PatientAddress), "phone": str(dataset.PatientTelephoneNumbers),
        "phone digits": "".join(filter(str.isdigit, str(dataset.PatientTelephoneNumbers))),
        "institution": str(dataset.InstitutionName), "physician": "Dr. Cuthbert Featherstonehaugh",
        "last line": str(dataset.ReferringPhysicianAddress).splitlines()[-1],
        "name in an address": "Postlethwaite", "end of a long line": "behind the Merchant Adventurers Hall",
        "study UID": str(dataset.StudyInstanceUID), "instance UID": str(dataset.SOPInstanceUID),
    }  # fmt: skip
    for name, text in texts.items():
        yield name, text.encode()
    yield "UTF-16", f"{family} {given}".encode("utf-16-le")
    yield "base64", base64.b64encode(f"patient={dataset.PatientID};".encode())


def plant(result: bytes, raw: bytes, place: int) -> bytes:
    """Return a result with some bytes planted."""
    dataset = pydicom.dcmread(io.BytesIO(result))
    dataset.SpecificCharacterSet = "ISO_IR 192"
    item = Dataset()
    item.add_new(0x00282000, "OB", raw + b" " * (len(raw) % 2))
    text = raw.decode("utf-8", "ignore").replace("\0", "")
    if len(raw) < MIN_RAW or (place % 4 == 0 and raw == text.encode()):  # short values are words of text
        dataset.ImageComments = f"see {text} again"
    elif place % 4 == 1:
        dataset.private_block(0x0099, "ANYBODY", create=True).add_new(1, "UN", b"xx" + raw + b" " * (len(raw) % 2))
    elif place % 4 == 2:
        item.ImageComments = text if raw == text.encode() else ""
        dataset.SourceImageSequence = [item]
    else:
        dataset.add_new(0x00282000, "OB", raw + b" " * (len(raw) % 2))
    return write(dataset)


def missed(patients: int, draw: random.Random) -> tuple[int, Counter[str]]:
    """Plant the identifiers of some patients; returns how many were planted, and what was not found."""
    engine = Deidentifier(load_rules(DEFAULT_RULES.read_bytes()), MemoryMappings())
    planted, lost = 0, Counter[str]()
    for number in range(patients):
        header = patient(number, draw, FAMILY[number % 20], GIVEN[number // 20 % 10])
        data = write(header)
        outcome, original = engine.deidentify(data), scan(data)
        uids = outcome.work.replaced_uids() if outcome.work else frozenset()
        collected = Identities().collect(original)
        expected = Expectation(uids, True, lambda heads: False, lambda path: "")
        for name, raw in spellings(header):
            planted += 1
            if not find_leaks(original, collected, DicomFile(plant(outcome.data, raw, planted)), expected):
                lost[name] += 1
        planted += 1
        dated = pydicom.dcmread(io.BytesIO(outcome.data))
        dated.StudyDate = header.StudyDate
        if not find_leaks(original, collected, DicomFile(write(dated)), expected):
            lost["date"] += 1
    return planted, lost


def flooded(count: int, draw: random.Random) -> int:
    """De-identify files of people whose names are common words; returns how many are held back."""
    engine = Deidentifier(load_rules(DEFAULT_RULES.read_bytes()), MemoryMappings())
    held = 0
    for number in range(count):
        header = patient(number, draw, WORDS[number % 25], WORDS[number // 25 % 25 - 1])
        header.ReferringPhysicianName = f"{WORDS[number % 7]}^{WORDS[number % 11]}"
        header.InstitutionName = ("Radiology", "Chest Hospital", "MR Center", "UNKNOWN")[number % 4]
        header.StudyDescription = f"{WORDS[number % 25].lower()} left chest hand CT"
        try:
            engine.deidentify(write(header))
        except LeakError:
            held += 1
    return held


def main() -> int:
    """Plant, count, compare."""
    given = arguments(__doc__ or "").parse_args()
    benchmark = Benchmark("Leak check")
    draw = random.Random(20261125)  # invented patients, the same every time
    part = 10 if given.quick else 1
    planted, lost = missed(200 // part, draw)
    held = flooded(500 // part, draw)
    benchmark.table("Not found", ("way of writing", "times"), sorted(lost.items()))
    benchmark.goal("planted", planted, ">=", 5000 // part)
    benchmark.goal("found_share", 1 - sum(lost.values()) / planted, "==", 1.0)
    benchmark.goal("common_words_held_back", held, "==", 0)
    return benchmark.finish(given.json)


if __name__ == "__main__":
    sys.exit(main())
