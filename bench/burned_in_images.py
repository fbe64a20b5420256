"""Images with text burned in, made from the packages' sample images: the test set of bench/burned_in.py."""

from __future__ import annotations

import random
import subprocess
import tempfile
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageDraw, ImageFont
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space

from deidentifier.pixels import codecs
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.image import Codestream, describe

FONTS = (
    "dejavu/DejaVuSans.ttf",
    "dejavu/DejaVuSansMono.ttf",
    "liberation/LiberationSans-Regular.ttf",
    "liberation/LiberationSerif-Regular.ttf",
    "freefont/FreeSans.ttf",
    "hack/Hack-Regular.ttf",
    "roboto/unhinted/RobotoTTF/Roboto-Regular.ttf",
    "open-sans/OpenSans-Regular.ttf",
)
SIZES = (9, 10, 11, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48)
#: How far the letters are from what lies behind them, of the whole range.
CONTRASTS = (1.0, 0.5, 0.3, 0.18)
ROTATIONS = (0, 0, 0, 90, 270)
#: Where a part without any text lies in a sample image: left, top, right, bottom; and the kind that it looks like.
BACKGROUNDS = {
    "US": [("US1_UNCR.dcm", (170, 110, 430, 350)), ("JPGLosslessP14SV1_1s_1f_8b.dcm", (330, 160, 700, 560))],
    "CT": [
        ("693_UNCR.dcm", (40, 40, 470, 470)),
        ("CT_small.dcm", (0, 0, 128, 128)),
        ("MR2_UNCR.dcm", (100, 100, 924, 924)),
    ],
    "XR": [("RG1_UNCR.dcm", (100, 100, 1700, 1800)), ("RG3_UNCR.dcm", (100, 100, 1600, 1600))],
    "SC": [("white", (0, 0, 0, 0)), ("black", (0, 0, 0, 0)), ("gradient", (0, 0, 0, 0))],
    "colour": [("US1_UNCR.dcm", (170, 110, 430, 350)), ("color-pl.dcm", (0, 0, 120, 120))],
}
FORMATS = {
    "gray16": ["explicit", "big", "rle", "jls", "j2k", "j2k-lossy", "jpeg-ll", "jpeg-12"],
    "gray8": ["explicit", "implicit", "rle", "jls", "j2k", "jpeg-ll", "jpeg"],
    "colour": ["explicit", "planar", "rle", "jls", "j2k", "jpeg-ll", "jpeg"],
}
_SYNTAX = {
    "explicit": uid.ExplicitVRLittleEndian,
    "planar": uid.ExplicitVRLittleEndian,
    "implicit": uid.ImplicitVRLittleEndian,
    "big": uid.ExplicitVRBigEndian,
    "rle": uid.RLELossless,
    "jls": uid.JPEGLSLossless,
    "j2k": uid.JPEG2000Lossless,
    "j2k-lossy": uid.JPEG2000,
    "jpeg-ll": uid.JPEGLosslessSV1,
    "jpeg": uid.JPEGBaseline8Bit,
    "jpeg-12": uid.JPEGExtended12Bit,
}
_FAMILY = ["SMITH", "Garcia", "MUELLER", "Okonkwo", "TANAKA", "Johansson", "PETROV", "Hernandez", "DUBOIS", "Kowalski"]
_GIVEN = ["JOHN", "Maria", "ANNA", "Kwame", "YUKI", "Erik", "OLGA", "Carlos", "CLAIRE", "Piotr"]


@dataclass(frozen=True)
class Text:
    """A string in the pixels: what, around which pixels, turned by how many degrees, in which frames, how."""

    text: str
    box: Box
    rotation: int
    frames: tuple[int, ...]
    size: int
    contrast: float


@dataclass
class Sample:
    """A generated instance and its ground truth."""

    kind: str
    form: str
    dataset: Dataset
    texts: list[Text]


def sample(number: int, seed: int) -> Sample:
    """Return one image of the test set of that seed; every sixth has no text at all, every seventh many frames."""
    chance = random.Random(f"{seed}/{number}")
    kind = list(BACKGROUNDS)[number % len(BACKGROUNDS)]
    background = _background(chance, kind)
    frames = np.stack([np.roll(background, 5 * shift, axis=1) for shift in range(3 if number % 7 == 3 else 1)])
    texts = _write(chance, 255 if frames.dtype == np.uint8 else 4095, frames) if number % 6 != 5 else []
    form = chance.choice(FORMATS["colour" if frames.ndim == 4 else "gray8" if frames.dtype == np.uint8 else "gray16"])
    inverted = kind == "XR" and chance.random() < 0.5
    return Sample(kind, form, _dataset(frames, form, kind, inverted=inverted), texts)


def compressed(frames: np.ndarray, form: str) -> Dataset:
    """Return frames of colour as an instance in that format."""
    return _dataset(frames, form, "colour", inverted=False)


@cache
def _pixels(name: str) -> np.ndarray:
    """Return the sample image: (rows, columns) of 12 bits or (rows, columns, 3) of 8."""
    dataset = pydicom.dcmread(str(get_testdata_file(name)))
    array = dataset.pixel_array
    if dataset.PhotometricInterpretation == "YBR_FULL":
        array = convert_color_space(array, "YBR_FULL", "RGB")
    if array.ndim == 3 or array.dtype == np.uint8:
        return array.astype(np.uint8)
    low, high = np.percentile(array, (1, 99.5))
    gray = np.clip((array - low) / max(high - low, 1), 0, 1) * 3000
    return (4095 - gray if dataset.PhotometricInterpretation == "MONOCHROME1" else gray).astype(np.uint16)


def _background(chance: random.Random, kind: str) -> np.ndarray:
    name, (left, top, right, bottom) = chance.choice(BACKGROUNDS[kind])
    columns, rows = {"US": (640, 480), "colour": (480, 360), "CT": (512, 512), "XR": (900, 900), "SC": (600, 400)}[kind]
    if kind == "SC":
        ramp = np.linspace(30, 220, columns)[None, :, None].repeat(rows, 0).repeat(3, 2)
        plain = {"white": np.full((rows, columns, 3), 250.0), "black": np.zeros((rows, columns, 3)), "gradient": ramp}
        return plain[name].astype(np.uint8)
    part = _pixels(name)[top:bottom, left:right]
    if chance.random() < 0.5:
        part = part[:, ::-1]
    if kind == "US" and part.ndim == 3:
        part = part[..., 0]
    if kind == "colour" and part.ndim == 2:
        part = np.stack([part] * 3, -1)
    if part.ndim == 3:
        return np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize((columns, rows), Image.Resampling.BICUBIC))
    scaled = Image.fromarray(part.astype(np.float32)).resize((columns, rows), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(scaled), 0, 255 if part.dtype == np.uint8 else 4095).astype(part.dtype)


def _strings(chance: random.Random) -> str:
    family, given = chance.choice(_FAMILY), chance.choice(_GIVEN)
    year, month, day = chance.randint(1930, 2010), chance.randint(1, 12), chance.randint(1, 28)
    return chance.choice(
        [
            f"{family}, {given}",
            f"{family}^{given}",
            f"{given} {family}",
            f"{day:02}.{month:02}.{year}",
            f"{year}-{month:02}-{day:02}",
            f"{month:02}/{day:02}/{year}",
            f"ID: {chance.randint(1000000, 9999999)}",
            f"MRN{chance.randint(100000, 999999)}",
            f"ACC {chance.randint(10000000, 99999999)}",
        ]
    )


def _write(chance: random.Random, top_value: int, frames: np.ndarray) -> list[Text]:
    """Draw two to four strings that do not touch each other into the frames, in place."""
    rows, columns = frames.shape[1:3]
    texts: list[Text] = []
    for _ in range(chance.randint(2, 4)):
        size, contrast = chance.choice(SIZES), chance.choice(CONTRASTS)
        text, rotation = _strings(chance), chance.choice(ROTATIONS)
        stencil = _stencil(text, chance.choice(FONTS), size, rotation)
        height, width = stencil.shape
        if height + 8 >= rows or width + 8 >= columns:
            continue
        left, top = chance.randint(2, columns - width - 3), chance.randint(2, rows - height - 3)
        box = Box(left, top, left + width, top + height)
        if any(box.padded(12).touches(other.box) for other in texts):
            continue
        only = (chance.randrange(len(frames)),) if len(frames) > 1 and chance.random() < 0.3 else range(len(frames))
        for number in only:
            _draw(frames[number], box, stencil, contrast, top_value)
        texts.append(Text(text, box, rotation, tuple(only), size, contrast))
    return texts


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(f"/usr/share/fonts/truetype/{name}", size)


def _stencil(text: str, font: str, size: int, rotation: int) -> np.ndarray:
    """Return the coverage of the letters, 0 to 1, turned."""
    left, top, right, bottom = _font(font, size).getbbox(text)
    plane = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(plane).text((1 - left, 1 - top), text, fill=255, font=_font(font, size))
    return np.rot90(np.asarray(plane, dtype=np.float32) / 255, rotation // 90)


def _draw(frame: np.ndarray, box: Box, stencil: np.ndarray, contrast: float, top_value: int) -> None:
    """Draw brighter than what lies behind, or darker where that is bright."""
    part = frame[box.top : box.bottom, box.left : box.right].astype(np.float32)
    middle = float(np.median(part))
    value = middle + contrast * top_value if middle < top_value / 2 else middle - contrast * top_value
    cover = stencil if part.ndim == 2 else stencil[..., None]
    mixed = part * (1 - cover) + np.clip(value, 0, top_value) * cover
    frame[box.top : box.bottom, box.left : box.right] = mixed.round().astype(frame.dtype)


def _dataset(frames: np.ndarray, form: str, kind: str, *, inverted: bool) -> Dataset:
    """Return an instance of those frames in that format."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = _SYNTAX[form]
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    dataset.Modality = {"US": "US", "colour": "US", "CT": "CT", "XR": "CR", "SC": "OT"}[kind]
    wide = frames.dtype == np.uint16
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.NumberOfFrames = len(frames)
    dataset.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (16, 12, 11) if wide else (8, 8, 7)
    dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 1 if form == "planar" else 0
    if inverted:
        dataset.PhotometricInterpretation, frames = "MONOCHROME1", (4095 if wide else 255) - frames
    _store(dataset, frames, form)
    return dataset


def _store(dataset: Dataset, frames: np.ndarray, form: str) -> None:
    syntax = _SYNTAX[form]
    if not syntax.is_encapsulated:
        stored = np.moveaxis(frames, -1, 1) if form == "planar" else frames
        stored = stored.astype(stored.dtype.newbyteorder(">" if form == "big" else "<"))
        data = np.ascontiguousarray(stored).tobytes()
        dataset.add_new("PixelData", "OW" if dataset.BitsAllocated > 8 else "OB", data + b"\0" * (len(data) % 2))
        return
    if form == "jpeg":
        encoded = [_jpeg(frame) for frame in frames]
        if dataset.SamplesPerPixel == 3:
            dataset.PhotometricInterpretation = "YBR_FULL_422"
    elif form == "jpeg-12":
        encoded = [_jpeg_extended(dataset, frame) for frame in frames]
    else:
        encoded = [_lossless(dataset, frame, syntax) for frame in frames]
    dataset.add_new("PixelData", "OB", encapsulate(encoded))
    dataset["PixelData"].is_undefined_length = True


def _lossless(dataset: Dataset, frame: np.ndarray, syntax: uid.UID) -> bytes:
    image = describe(dataset, syntax)
    photometric = dataset.PhotometricInterpretation
    precision = image.bits_allocated if syntax == uid.RLELossless else image.bits_stored
    return codecs.encode(
        image, frame.reshape(image.rows, image.columns, image.samples), Codestream(precision, False, photometric)
    )


def _jpeg(frame: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=90, subsampling=1)
    return buffer.getvalue() + b"\0" * (len(buffer.getvalue()) % 2)


def _jpeg_extended(dataset: Dataset, frame: np.ndarray) -> bytes:
    """Encode 12 bits with dcmtk: no Python package writes them."""
    plain = deepcopy(dataset)
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    plain.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    plain.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    plain.PatientID = plain.StudyInstanceUID = plain.SeriesInstanceUID = "1"
    plain.NumberOfFrames = 1
    plain.add_new("PixelData", "OW", frame.tobytes())
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.dcm", Path(folder) / "out.dcm"
        plain.save_as(source, enforce_file_format=True)
        subprocess.run(["dcmcjpeg", "+ee", "+q", "95", str(source), str(target)], check=True, capture_output=True)
        written = pydicom.dcmread(target)
    return next(pydicom.encaps.generate_frames(written.PixelData, number_of_frames=1))
