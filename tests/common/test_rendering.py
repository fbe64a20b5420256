from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from common.errors import InvalidDicomError, NotFoundError, RefusedError
from common.rendering import Picture, render
from website.file_cache import FileCache


def image_file(pixels: np.ndarray, **elements: object) -> io.BytesIO:
    """Build a CT-like file; ``pixels`` is (frames, rows, columns) of 8 or 16 bits."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape[:3]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    out.seek(0)
    return out


def shown(file: io.BytesIO, picture: Picture | None = None) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(render(file, picture or Picture()))))


def test_each_frame_is_the_one_asked_for() -> None:
    pixels = np.stack([np.full((4, 4), value, dtype=np.uint8) for value in (10, 90, 200)])
    file = image_file(pixels, WindowCenter="128", WindowWidth="256")
    assert [int(shown(file, Picture(frame=n))[0, 0]) for n in (1, 2, 3)] == [10, 90, 200]


@pytest.mark.parametrize("frame", [0, 4, -1])
def test_a_frame_that_is_not_there(frame: int) -> None:
    with pytest.raises(NotFoundError, match="frames 1 to 3"):
        render(image_file(np.zeros((3, 4, 4), dtype=np.uint8)), Picture(frame=frame))


def test_the_window_is_in_units_of_the_rescaled_values() -> None:
    """A CT window of level 40, width 400 over stored values with an intercept of -1024 (PS3.3 C.11.2.1.2)."""
    stored = np.array([[[824, 864 + 1024 - 824, 1264]]], dtype=np.uint16)
    file = image_file(stored, RescaleSlope="1", RescaleIntercept="-1024")
    assert shown(file, Picture(center=40, width=401)).tolist() == [[0, 128, 255]]


def test_the_files_own_window_is_used_and_another_replaces_it() -> None:
    pixels = np.array([[[0, 100, 200]]], dtype=np.uint16)
    file = image_file(pixels, WindowCenter=["100.5", "3"], WindowWidth=["201", "1"])
    assert np.abs(shown(file).astype(int) - [[0, 128, 255]]).max() <= 1
    assert shown(file, Picture(center=50, width=2)).tolist() == [[0, 255, 255]]


@pytest.mark.parametrize(("function", "expected"), [("LINEAR_EXACT", [0, 128, 255]), ("SIGMOID", [30, 128, 225])])
def test_other_window_functions(function: str, expected: list[int]) -> None:
    pixels = np.array([[[0, 100, 200]]], dtype=np.uint16)
    file = image_file(pixels, WindowCenter="100", WindowWidth="200", VOILUTFunction=function)
    assert np.abs(shown(file).astype(int) - [expected]).max() <= 1


def test_monochrome1_is_inverted() -> None:
    pixels = np.array([[[0, 255]]], dtype=np.uint8)
    assert shown(image_file(pixels)).tolist() == [[0, 255]]
    assert shown(image_file(pixels, PhotometricInterpretation="MONOCHROME1")).tolist() == [[255, 0]]


def test_padding_does_not_set_the_window() -> None:
    pixels = np.array([[[-2000, 0, 100]]], dtype=np.int16)
    assert shown(image_file(pixels, PixelPaddingValue=-2000)).tolist() == [[0, 0, 255]]


def test_masks_do_not_set_the_window() -> None:
    """Black is the least number of 16 bits: it must not make the rest gray."""
    pixels = np.arange(200, dtype=np.int16).reshape(1, 10, 20)
    masked = pixels.copy()
    masked[0, 4] = -32768
    before, after = shown(image_file(pixels)), shown(image_file(masked))
    assert (after[4] == 0).all()
    assert np.array_equal(np.delete(before, 4, axis=0), np.delete(after, 4, axis=0))


def test_the_values_of_a_label_map_stay_apart() -> None:
    assert shown(image_file(np.array([[[0, 1, 2]]], dtype=np.uint16))).tolist() == [[0, 128, 255]]


def test_pixels_that_are_not_square_are_shown_in_proportion() -> None:
    file = image_file(np.zeros((1, 10, 10), dtype=np.uint8), PixelSpacing=["2", "1"])
    assert shown(file).shape == (20, 10)


def test_a_thumbnail_is_small_and_never_enlarged() -> None:
    assert shown(image_file(np.zeros((1, 300, 100), dtype=np.uint8)), Picture(size=96)).shape == (96, 32)
    assert shown(image_file(np.zeros((1, 3, 3), dtype=np.uint8)), Picture(size=96)).shape == (3, 3)


def test_jpeg() -> None:
    out = render(image_file(np.zeros((1, 8, 8), dtype=np.uint8)), Picture(format="jpeg"))
    assert Image.open(io.BytesIO(out)).format == "JPEG"


def test_a_header_that_asks_for_too_much_is_refused() -> None:
    file = image_file(np.zeros((1, 1, 1), dtype=np.uint8), Rows=60000, Columns=60000)
    with pytest.raises(RefusedError):
        render(file, Picture())


def test_no_image_and_damaged_pixels() -> None:
    with pytest.raises(NotFoundError):
        render(image_file(np.zeros((1, 1, 1), dtype=np.uint8), Rows=None), Picture())
    with pytest.raises(InvalidDicomError) as info:
        render(image_file(np.zeros((1, 8, 8), dtype=np.uint8), PixelData=b"ab"), Picture())
    assert info.value.__cause__ is None


# One sample of pydicom's per kind of pixel data: how its picture must compare with what pydicom decodes.
COLOURS = [
    "SC_rgb.dcm",  # RGB by pixel
    "color3d_jpeg_baseline.dcm",  # YBR_FULL_422, JPEG baseline, multi-frame
    "examples_ybr_color.dcm",  # YBR_FULL_422, RLE
    "examples_palette.dcm",  # PALETTE COLOR
    "SC_rgb_rle_2frame.dcm",
]
GREYS = [
    "CT_small.dcm",
    "JPEG2000.dcm",
    "MR_small_RLE.dcm",
    "JPEGLSNearLossless_16.dcm",
    "JPEG-LL.dcm",  # JPEG lossless
    "MR_small_bigendian.dcm",
    "emri_small_jpeg_2k_lossless.dcm",  # multi-frame JPEG 2000
    "693_J2KR.dcm",
    "liver_1frame.dcm",  # one bit
    "eCT_Supplemental.dcm",  # enhanced CT: window in the functional groups
]


def sample(name: str) -> io.BytesIO:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} is not among the installed sample files")
    with open(path, "rb") as file:
        return io.BytesIO(file.read())


@pytest.mark.parametrize("name", COLOURS)
def test_colour_is_shown_as_colour(name: str) -> None:
    picture = shown(sample(name))
    assert picture.ndim == 3
    assert picture.std() > 5


@pytest.mark.parametrize("name", GREYS)
def test_grey_samples_are_shown(name: str) -> None:
    file = sample(name)
    dataset = dcmread(io.BytesIO(file.getvalue()))
    picture = shown(file)
    assert picture.shape == (dataset.Rows, dataset.Columns)
    assert picture.std() > 5
    # The picture follows the values: brighter where they are larger.
    values = dataset.pixel_array
    values = values[0] if values.ndim == 3 else values
    correlation = np.corrcoef(values.ravel().astype(float), picture.ravel().astype(float))[0, 1]
    assert correlation > 0.5


def test_files_are_fetched_once_and_the_cache_is_bounded() -> None:
    fetched = []

    def fetch(name: str, size: int = 60) -> object:
        def chunks() -> list[bytes]:
            fetched.append(name)
            return [b"x" * size]

        return chunks

    cache = FileCache(limit=100)
    for name in ("a", "a", "b", "a"):
        with cache.open(name, "md5", fetch(name)) as file:
            assert len(file.read()) == 60
    assert fetched == ["a", "b", "a"]


def test_a_replaced_instance_is_fetched_again() -> None:
    cache = FileCache()
    for md5 in ("old", "new"):
        with cache.open("a", md5, lambda md5=md5: [md5.encode()]) as file:
            assert file.read().decode() == md5


def test_a_deflated_file_is_shown():
    assert Image.open(io.BytesIO(render(sample("image_dfl.dcm"), Picture()))).size == (512, 512)


def test_threads_do_not_disturb_each_other():
    """Two threads that encoded JPEG 2000 at once ended the process."""
    from concurrent.futures import ThreadPoolExecutor

    from common.transcoding import transcode

    names = ("693_J2KI.dcm", "MR2_J2KI.dcm", "JPEG2000.dcm", "CT_small.dcm")
    files = [sample(name).read() for name in names]
    alone = [render(io.BytesIO(data), Picture()) for data in files]
    with ThreadPoolExecutor(6) as pool:
        encoded = pool.map(lambda data: transcode(data, "1.2.840.10008.1.2.4.90"), [files[3]] * 12)
        together = list(pool.map(lambda data: render(io.BytesIO(data), Picture()), files * 6))
        assert len(set(encoded)) == 1
    assert together == alone * 6
