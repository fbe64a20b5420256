"""ICC profiles: no text, no date, the same colours."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from deidentifier.profiles.icc import without_texts
from tests.deidentifier.profiles.test_profile import engine, instance, run

SECRET = b"Quimby scanner 4711"
BUILT = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WITH_TABLES = Path(str(get_testdata_file("crayons.icc"))).read_bytes()


def tags_of(raw: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack(">I", raw[128:132])
    entries = struct.iter_unpack(">4sII", raw[132 : 132 + 12 * count])
    return {name: raw[start : start + length] for name, start, length in entries}


def profile(tags: dict[bytes, bytes], *, header: bytes = BUILT[:128], gap: bytes = b"", behind: bytes = b"") -> bytes:
    """Return a profile with these tags, and bytes between and behind them."""
    at = 132 + 12 * len(tags)
    table, body = b"", b""
    for name, data in tags.items():
        body += gap
        table += struct.pack(">4sII", name, at + len(body), len(data))
        body += data.ljust(len(data) + -len(data) % 4, b"\0")
    whole = header[4:] + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole) + 4) + whole + behind


def localized(text: str) -> bytes:
    raw = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"deCH", len(raw), 28) + raw


def described(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(4 + 4 + 2 + 1 + 67)


CURVE = b"curv\0\0\0\0" + struct.pack(">I4H", 4, 0, 9000, 30000, 65535)
FULL = {
    **tags_of(BUILT),
    b"rTRC": CURVE + SECRET,
    b"desc": localized(SECRET.decode()),
    b"cprt": b"text\0\0\0\0" + SECRET + b"\0",
    b"dmnd": described(SECRET),
    b"dmdd": described(SECRET),
    b"vued": described(SECRET),
    b"targ": b"text\0\0\0\0" + SECRET + b"\0",
    b"calt": b"dtim\0\0\0\0" + struct.pack(">6H", 2020, 1, 31, 12, 0, 0),
    b"mmod": b"mmod\0\0\0\0" + SECRET,
    b"QmbY": SECRET + SECRET,
    b"gamt": b"text\0\0\0\0" + SECRET,
}
HEADER = BUILT[:24] + struct.pack(">6H", 2020, 1, 31, 12, 0, 0) + BUILT[36:84] + SECRET.ljust(44, b"\0")


def colours(raw: bytes) -> np.ndarray:
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 15, dtype=np.uint8)] * 3), axis=-1).reshape(1, -1, 3)
    source = ImageCms.ImageCmsProfile(io.BytesIO(raw))
    made = ImageCms.profileToProfile(Image.fromarray(grid), source, ImageCms.createProfile("LAB"), outputMode="LAB")
    return np.asarray(made)


@pytest.mark.parametrize(
    "raw", [BUILT, WITH_TABLES, profile(FULL, header=HEADER, gap=SECRET + b"\0", behind=SECRET)], ids=len
)
def test_colours_stay_and_texts_go(raw: bytes) -> None:
    cleaned = without_texts(raw)
    assert cleaned is not None
    assert len(cleaned) == len(raw)
    assert (colours(cleaned) == colours(raw)).all()
    for form in (SECRET, SECRET.decode().encode("utf-16-be"), struct.pack(">3H", 2020, 1, 31), b"Copyright"):
        assert form not in cleaned
    assert cleaned[24:36] == struct.pack(">6H", 1900, 1, 1, 0, 0, 0)
    assert without_texts(cleaned) == cleaned
    assert ImageCms.getProfileCopyright(ImageCms.ImageCmsProfile(io.BytesIO(cleaned))).strip() == ""


@pytest.mark.parametrize("write", [localized, lambda text: described(text.encode())], ids=["mluc", "desc"])
@pytest.mark.parametrize(
    ("text", "left"), [("sRGB IEC61966-2.1", "sRGB IEC61966-2.1"), ("sRGB of Quimby", ""), ("Quimby", "")]
)
def test_names_of_standard_spaces_stay(write, text, left) -> None:
    cleaned = without_texts(profile({**tags_of(BUILT), b"desc": write(text)}))
    assert cleaned is not None
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(cleaned))).strip() == left


@pytest.mark.parametrize(
    "raw", [SECRET, b"", BUILT[:140], BUILT[:36] + b"xxxx" + BUILT[40:], BUILT[:-20], BUILT[:128] + b"\xff" * 460]
)
def test_what_is_no_profile_is_none(raw: bytes) -> None:
    assert without_texts(raw) is None


def test_damaged_profiles() -> None:
    """Flipped anywhere: a result of the same length, or none."""
    raw = profile(FULL)
    for at in range(len(raw)):
        found = without_texts(raw[:at] + bytes((raw[at] ^ 0xFF,)) + raw[at + 1 :])
        assert found is None or len(found) == len(raw)


def test_in_an_instance_at_every_depth() -> None:
    path = Dataset()
    path.ICCProfile = profile(FULL)
    given = instance(ICCProfile=profile(FULL), OpticalPathSequence=[path])
    for options in ("", "CleanDescriptors"):
        result = run(engine(options), given)
        for found in (result.ICCProfile, result.OpticalPathSequence[0].ICCProfile):
            assert SECRET not in found
            assert (colours(found) == colours(path.ICCProfile)).all()


def test_what_is_no_profile_is_emptied_and_kept_on_purpose_where_asked() -> None:
    given = instance(ICCProfile=SECRET + b"\0")
    assert run(engine(), given).ICCProfile is None
    kept = run(engine(more="  KeepTags: [{TagPatterns: ICCProfile}]\n"), given)
    assert kept.ICCProfile == SECRET + b"\0"
