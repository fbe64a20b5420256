"""Frames as pictures: decoded by our own codecs, windowed, scaled, encoded as PNG or JPEG.

Only the frame that is asked for is read and decoded, whatever the size of the file. Grey values go through the
modality transform and then a window (PS3.3 C.11.1, C.11.2); colours become RGB. Orthanc is asked for the file
alone, because it cannot decode every transfer syntax (JPEG 2000).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.filereader import read_partial
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from common.decoders import DECODING_ERRORS, use_decoders
from common.errors import InvalidDicomError, NotFoundError, QuarantineError, RefusedError
from common.transcoding import transcode

use_decoders()

MAX_PIXELS = 100_000_000
"""Larger frames are refused: a header of a few bytes could ask for any amount of memory."""

# Of the span of the other values, and how many of these there must be: see _is_far.
_FAR = 64
_MANY = 64

MIMETYPES = {"png": "image/png", "jpeg": "image/jpeg"}

# What the picture depends on outside group 0028, which pixel_array reads by itself: the functional groups of
# enhanced images (PS3.3 C.7.6.16), where window and rescale stand per frame.
FRAME_TAGS = (0x52009229, 0x52009230)


@dataclass(frozen=True)
class Picture:
    """How a frame is wanted.

    Attributes
    ----------
    frame
        From 1, as DICOM counts frames.
    center, width
        The window, in units of the modality transform's output; the file's own where not given.
    size
        Longest side in pixels, where the frame is larger.
    format
        ``png`` or ``jpeg``.
    """

    frame: int = 1
    center: float | None = None
    width: float | None = None
    size: int | None = None
    format: str = "png"


def render(file: IO[bytes], picture: Picture) -> bytes:
    """Render one frame of a DICOM file.

    Raises
    ------
    NotFoundError
        The instance has no image, or no such frame.
    InvalidDicomError
        The pixel data cannot be decoded.
    RefusedError
        The frame is too large to show.
    """
    dataset, pixels = _decode(file, picture.frame)
    return _encode(to_shown(pixels, dataset, picture), pixel_height(dataset), picture)


def to_shown(pixels: NDArray[Any], dataset: Dataset, picture: Picture) -> NDArray[np.uint8]:
    """Make of a decoded frame what is shown: grey through its window, palettes and colours as RGB; 8 bits.

    Raises
    ------
    InvalidDicomError
        Its palette or grey scale cannot be read.
    """
    if pixels.ndim == 3:
        return _to_bytes(pixels, 0, 2 ** int(dataset.get("BitsStored", 8)) - 1)
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        return _paint(pixels, dataset)
    return _to_grey(pixels, dataset, picture)


def _decode(file: IO[bytes], frame: int) -> tuple[Dataset, NDArray[Any]]:
    dataset = Dataset()
    check_frame(file, frame)
    file = inflate(file)
    try:
        pixels = pixel_array(cast(BinaryIO, file), ds_out=dataset, specific_tags=list(FRAME_TAGS), index=frame - 1)
    except DECODING_ERRORS:
        raise InvalidDicomError("The pixel data of this instance cannot be decoded.") from None
    return of_frame(dataset, frame), pixels


def inflate(file: IO[bytes]) -> IO[bytes]:
    """Return a file whose frames can be reached: itself, or what a deflated one (PS3.5 A.5) holds.

    Raises
    ------
    InvalidDicomError
        It is deflated and damaged.
    """
    file.seek(0)
    try:
        # The file meta information alone: reading stops at the first element of the data set.
        meta = read_partial(cast(BinaryIO, file), stop_when=lambda tag, vr, length: True, force=True).file_meta
        file.seek(0)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return file
        return io.BytesIO(transcode(file.read(), ExplicitVRLittleEndian))
    except (*DECODING_ERRORS, QuarantineError):
        raise InvalidDicomError("The header of this instance cannot be read.") from None


def check_frame(file: IO[bytes], frame: int) -> int:
    """Look at the header alone, so that nothing large is allocated for a frame that is refused.

    Returns the number of frames.

    Raises
    ------
    NotFoundError, InvalidDicomError, RefusedError
        As :func:`render`.
    """
    file.seek(0)
    try:
        header = dcmread(
            file,
            force=True,
            stop_before_pixels=True,
            specific_tags=["Rows", "Columns", "NumberOfFrames", "SamplesPerPixel"],
        )
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        frames, samples = int(header.get("NumberOfFrames") or 1), int(header.get("SamplesPerPixel") or 1)
    except DECODING_ERRORS:
        raise InvalidDicomError("The header of this instance cannot be read.") from None
    file.seek(0)
    if not rows * columns:
        raise NotFoundError("This instance has no image.")
    if not 1 <= frame <= frames:
        raise NotFoundError(f"There is no such frame: this instance has frames 1 to {frames}.")
    if rows * columns * samples > MAX_PIXELS:
        raise RefusedError("This frame is too large to show here; download the instance instead.")
    return frames


def of_frame(dataset: Dataset, frame: int) -> Dataset:
    """Lift window and rescale of an enhanced image's functional groups to where single-frame images have them."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in [*shared[:1], *own[frame - 1 : frame]]:
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence"):
            for item in (group.get(name) or [])[:1]:
                dataset.update(item)
    return dataset


def _paint(pixels: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    try:
        colours = apply_color_lut(pixels, dataset)
    except DECODING_ERRORS:
        raise InvalidDicomError("The colour palette of this instance cannot be read.") from None
    return _to_bytes(colours[..., :3], 0, np.iinfo(colours.dtype).max)


def _to_grey(pixels: NDArray[Any], dataset: Dataset, picture: Picture) -> NDArray[np.uint8]:
    meant = _meant(pixels, dataset)
    try:
        values = np.asarray(apply_modality_lut(pixels, dataset), dtype=np.float64)
        shown = _window(values, meant, dataset, picture)
    except DECODING_ERRORS:
        raise InvalidDicomError("The grey scale of this instance cannot be read.") from None
    return 255 - shown if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else shown


def _meant(pixels: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    """Tell for each pixel whether it counts for a window that the file does not give: padding and masks do not."""
    padding = dataset.get("PixelPaddingValue")
    meant = pixels != padding if isinstance(padding, int) else np.ones(pixels.shape, dtype=bool)
    masked = pixels == _black(dataset)
    return meant & ~masked if _is_far(pixels[masked], pixels[meant & ~masked]) else meant


def _black(dataset: Dataset) -> int:
    """Return the darkest number that BitsStored can hold: burned-in text is blackened with it."""
    bits, signed = int(dataset.get("BitsStored") or 8), dataset.get("PixelRepresentation") == 1
    number = (1 << bits) - 1 if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else 0
    return number - (1 << (bits - 1)) if signed else number


def _is_far(black: NDArray[Any], others: NDArray[Any]) -> bool:
    """Tell whether black lies so far from all other values that they would lose their contrast by it.

    The few values of a label map are apart from each other by themselves.
    """
    if not black.size or not others.size:
        return False
    low, high = float(others.min()), float(others.max())
    gap = min(abs(low - float(black[0])), abs(float(black[0]) - high))
    return gap * _FAR > high - low and len(np.unique(others)) >= _MANY


def _window(
    values: NDArray[np.float64], meant: NDArray[np.bool_], dataset: Dataset, picture: Picture
) -> NDArray[np.uint8]:
    """Map values to grey: by the window asked for, else by the file's, else over what the frame holds."""
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    center, width = picture.center, picture.width
    if center is None or width is None:
        if not dataset.get("WindowCenter") and dataset.get("VOILUTSequence"):
            table = np.asarray(apply_voi(values.astype(np.int64), dataset), dtype=np.float64)
            return _to_bytes(table, table.min(), table.max())
        center, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        inside = values[meant] if meant.any() else values
        return _to_bytes(values, float(inside.min()), float(inside.max()))
    if function == "SIGMOID":
        return _to_bytes(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -500, 500))), 0, 1)
    if function == "LINEAR_EXACT":
        return _to_bytes(values, center - width / 2, center + width / 2)
    # PS3.3 C.11.2.1.2.1: the window spans width - 1 steps around center - 0.5
    return _to_bytes(values, center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2)


def _first(value: Any) -> float | None:
    """Return the first of one or several values (a file may offer several windows)."""
    if value is None or value == "":
        return None
    return float(value[0]) if hasattr(value, "__len__") and not isinstance(value, str) else float(value)


def _to_bytes(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map low…high to 0…255; a step where both are the same."""
    if high <= low:
        return np.where(values > low, 255, 0).astype(np.uint8)
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def pixel_height(dataset: Dataset) -> float:
    """Return the height of a pixel for a width of 1 (PS3.3 10.7.1.3, C.7.6.3.1.7): some are not square."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        value = dataset.get(name)
        if value and len(value) == 2 and float(value[0]) > 0 and float(value[1]) > 0:
            return min(max(float(value[0]) / float(value[1]), 0.1), 10.0)
    return 1.0


def _encode(shown: NDArray[np.uint8], pixel_height: float, picture: Picture) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(shown))
    width, height = image.width, image.height
    if pixel_height >= 1:
        height = round(height * pixel_height)
    else:
        width = round(width / pixel_height)
    scale = min(1.0, picture.size / max(width, height)) if picture.size else 1.0
    wanted = max(1, round(width * scale)), max(1, round(height * scale))
    if wanted != image.size:
        image = image.resize(wanted, Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    if picture.format == "jpeg":
        image.save(out, "JPEG", quality=85)
    else:
        image.save(out, "PNG", compress_level=1)
    return out.getvalue()
