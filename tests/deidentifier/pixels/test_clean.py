"""Finding text in all frames, hiding it, proving it gone."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from bench.burned_in_images import sample
from common.errors import PermanentError, QuarantineError
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.clean import Cleaned, Request, clean
from deidentifier.pixels.finder import Finder, Finding
from deidentifier.pixels.image import describe
from deidentifier.pixels.local import LocalFinder
from deidentifier.pixels.pictures import Picture, pictures, stored_frames
from deidentifier.pixels.reader import read_frames
from deidentifier.pixels.squares import any_in_squares, boxes_around
from deidentifier.pixels.terms import header_terms, is_kept, resembles
from deidentifier.pixels.tiles import tiles
from deidentifier.transformations.remove_burned_in_annotations import parse_keep

FIND = [Request(find=True)]


def compile_keep(patterns: list[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(parse_keep(pattern) for pattern in patterns)


def header_of(frames: np.ndarray) -> Dataset:
    header = Dataset()
    header.NumberOfFrames, header.Rows, header.Columns = frames.shape[:3]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    return header


def cleaned(frames: np.ndarray, requests: list[Request], finder: Finder, header: Dataset | None = None) -> Cleaned:
    header = header or header_of(frames)
    return clean(header, ExplicitVRLittleEndian, frames.tobytes(), requests, finder=lambda name: finder, vr="OB")


def result_of(frames: np.ndarray, outcome: Cleaned) -> np.ndarray:
    assert outcome.pixel_data is not None
    return np.frombuffer(outcome.pixel_data, np.uint8).reshape(frames.shape)


class BrightSquares:
    """Takes every bright area of its own frame for one word; counts what it was given."""

    def __init__(self, text: str = "DOE") -> None:
        self.text = text
        self.sizes: list[tuple[int, ...]] = []

    def find(self, picture: Picture, part: Box | None = None, known: Sequence[Finding] = ()) -> list[Finding]:
        part = part or Box(0, 0, picture.shape[1], picture.shape[0])
        self.sizes.append(part.size)
        seen = picture[part.top : part.bottom, part.left : part.right, 0]
        rows, columns = np.nonzero((seen > 240) & (seen < 254))
        if not len(rows):
            return []
        box = Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        return [Finding(box.shifted(part.left, part.top), self.text, 0.99)]


def hide_all(text: str) -> bool:
    return True


def frames_with(*squares: tuple[int, Box], count: int = 3) -> np.ndarray:
    frames = np.full((count, 128, 256), 40, np.uint8)
    frames[:, 0, :2] = 0, 255
    for number, (left, top, right, bottom) in squares:
        frames[number, top:bottom, left:right] = 250
    return frames


def test_text_of_one_frame_is_hidden_there_alone() -> None:
    frames = frames_with((1, Box(10, 20, 30, 28)))
    outcome = cleaned(frames, FIND, BrightSquares())
    after = result_of(frames, outcome)
    assert (after[1, 20:28, 10:30] == 0).all()
    assert np.array_equal(after[[0, 2]], frames[[0, 2]])
    assert [len(boxes) for boxes in outcome.boxes] == [0, 1, 0]
    assert outcome.changes.BurnedInAnnotation == "NO"


def test_what_does_not_change_is_read_once_and_hidden_in_every_frame() -> None:
    frames = frames_with(*((n, Box(10, 20, 30, 28)) for n in range(3)))
    finder = BrightSquares()
    after = result_of(frames, cleaned(frames, FIND, finder))
    assert (after[:, 20:28, 10:30] == 0).all()
    # Once before masking, once after: the square of the letters and those around it.
    assert finder.sizes == [(64, 64)] * 2


def test_only_the_changed_part_is_read_again() -> None:
    finder = BrightSquares()
    frames = [[np.repeat(frame[..., None], 3, 2)] for frame in frames_with((2, Box(200, 100, 220, 110)))]
    found = read_frames(frames, finder, hide_all)
    assert [len(one) for one in found] == [0, 0, 1]
    assert found[2][0].box == Box(200, 100, 220, 110)
    # Nothing in the first two frames has edges.
    assert finder.sizes == [(96, 64)]


def test_text_whose_background_moves_is_read_again_whole() -> None:
    """A part that changed under half of a text must not make the other half forgotten."""
    frames = frames_with(*((n, Box(20, 20, 100, 28)) for n in range(2)))
    frames[1, 21, 95] = 40
    found = read_frames([[np.repeat(frame[..., None], 3, 2)] for frame in frames], BrightSquares(), hide_all)
    assert [one.box for one in found[1]] == [Box(20, 20, 100, 28)]


def test_text_that_comes_and_goes_is_hidden_only_while_it_is_there() -> None:
    frames = frames_with((1, Box(10, 20, 30, 28)), (2, Box(10, 20, 30, 28)), count=5)
    outcome = cleaned(frames, FIND, BrightSquares())
    assert [len(boxes) for boxes in outcome.boxes] == [0, 1, 1, 0, 0]


def test_squares_cover_every_pixel_that_was_asked_for() -> None:
    chance = np.random.default_rng(3)
    for _ in range(200):
        rows, columns = (int(one) for one in chance.integers(1, 200, 2))
        pixels = chance.random((rows, columns)) < 0.002
        covered = np.zeros_like(pixels)
        for left, top, right, bottom in boxes_around(any_in_squares(pixels), rows, columns):
            covered[top:bottom, left:right] = True
        assert not (pixels & ~covered).any()


def test_pixels_without_text_stay_as_they_are() -> None:
    frames = frames_with()
    outcome = cleaned(frames, FIND, BrightSquares())
    assert outcome.pixel_data is None
    assert outcome.changes.BurnedInAnnotation == "NO"
    assert outcome.is_claimed


def test_nothing_is_claimed_where_nothing_was_done() -> None:
    outcome = cleaned(frames_with(), [Request(boxes=(Box(500, 500, 600, 600),))], BrightSquares())
    assert outcome.pixel_data is None
    assert "BurnedInAnnotation" not in outcome.changes
    assert not outcome.is_claimed


def test_text_that_stays_readable_is_quarantined() -> None:
    class Everywhere:
        def find(self, picture: Picture, part: Box | None = None, known: Sequence[Finding] = ()) -> list[Finding]:
            return [Finding(Box(1, 1, 9, 9), "DOE", 0.9)]

    with pytest.raises(QuarantineError, match="still be read") as caught:
        cleaned(np.random.default_rng(1).integers(0, 255, (1, 128, 256), np.uint8), FIND, Everywhere())
    assert Box(1, 1, 9, 9) in caught.value.boxes[0]


def test_kept_text_stays() -> None:
    frames = frames_with((0, Box(10, 20, 30, 28)))
    keep = compile_keep(["R", r"\d+ ?MHz"])
    assert cleaned(frames, [Request(find=True, keep=keep)], BrightSquares("5 MHz")).pixel_data is None
    assert cleaned(frames, [Request(find=True, keep=keep)], BrightSquares("5 MHz DOE")).pixel_data is not None


def test_single_characters_are_not_text() -> None:
    assert cleaned(frames_with((0, Box(10, 20, 30, 28))), FIND, BrightSquares("R")).pixel_data is None


def test_header_terms_hide_only_what_resembles_the_header() -> None:
    frames = frames_with((0, Box(10, 20, 30, 28)))
    header = header_of(frames)
    header.PatientName, header.PatientBirthDate, header.PatientID = "Mueller^Anna", "19640312", "4711-08"
    request = [Request(find=True, header_terms=True)]
    for text in ("MUELLER", "Mue11er, Anna", "12.03.1964", "4711-O8", "Mar 12 1964"):
        assert cleaned(frames, request, BrightSquares(text), header).pixel_data is not None, text
    for text in ("GAIN 50", "Liver", "1987"):
        assert cleaned(frames, request, BrightSquares(text), header).pixel_data is None, text


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_terms_of_the_header() -> None:
    header = Dataset()
    header.PatientName = "Doe^Jo=X^Y"
    header.StudyDate = "20261332"
    assert header_terms(header) == {"d0e"}
    assert not resembles("do", header_terms(header))


def test_keep_matches_whole_texts_only() -> None:
    assert is_kept("5  MHz", compile_keep(["5 mhz"]))
    assert not is_kept("5 MHz x", compile_keep(["5 mhz"]))


def test_manual_and_found_boxes_are_joined() -> None:
    frames = frames_with((1, Box(10, 20, 30, 28)))
    requests = [Request(boxes=(Box(0, 120, 400, 200),)), *FIND]
    after = result_of(frames, cleaned(frames, requests, BrightSquares()))
    assert (after[:, 120:] == 0).all()
    assert (after[1, 20:28, 10:30] == 0).all()


@pytest.mark.parametrize(("columns", "rows"), [(100, 50), (1280, 1280), (3000, 1500), (1281, 10), (5000, 4000)])
def test_tiles_cover_the_picture_and_overlap(columns: int, rows: int) -> None:
    seen = np.zeros((rows, columns), np.uint8)
    for tile in tiles(columns, rows, side=1280):
        assert tile.right - tile.left <= 1280
        assert tile.bottom - tile.top <= 1280
        seen[tile.top : tile.bottom, tile.left : tile.right] += 1
    assert seen.min() == 1


def written(text: str, *, size: int, turn: int = 0, bright: int = 230, dark: int = 15) -> np.ndarray:
    plane = Image.new("L", (400, 400), dark)
    font = ImageFont.truetype("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", size)
    ImageDraw.Draw(plane).text((40, 180), text, fill=bright, font=font)
    return np.rot90(np.asarray(plane), turn)[None].copy()


@pytest.mark.parametrize(
    ("size", "turn", "bright", "dark"), [(10, 0, 230, 15), (14, 1, 90, 40), (24, 3, 10, 240), (44, 1, 230, 15)]
)
@pytest.mark.filterwarnings("ignore")
def test_the_local_engine_hides_text_without_a_network(
    size: int, turn: int, bright: int, dark: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network connection was tried")

    monkeypatch.setattr("socket.socket.connect", refuse)
    frames = written("Mueller 1964-03-12", size=size, turn=turn, bright=bright, dark=dark)
    after = result_of(frames, cleaned(frames, FIND, LocalFinder()))
    far = np.abs(frames.astype(int) - dark) > 40
    black = np.count_nonzero(after[far] == 0) / np.count_nonzero(far)
    assert black > 0.97
    assert np.count_nonzero((after == 0) & (frames != 0)) < 0.3 * frames.size


@pytest.mark.parametrize(("number", "text"), [(205, "3932224"), (450, "1969-04-10")])
def test_letters_in_a_sector_that_the_detector_takes_for_one_text(number: int, text: str) -> None:
    """Speckle from edge to edge: seen larger, letters and scenery part."""
    made = sample(number, 2)
    dataset = made.dataset
    image = describe(dataset, dataset.file_meta.TransferSyntaxUID, vr=dataset["PixelData"].VR)
    frame = next(iter(stored_frames(dataset, image, dataset.PixelData)))
    found = LocalFinder().find(pictures(dataset, image, frame)[0])
    wanted = next(each.box for each in made.texts if text in each.text)
    assert max((wanted.clipped_to(each.box).area for each in found), default=0) > wanted.area / 2


@pytest.mark.parametrize(("number", "text"), [(234, "ANNA TANAKA"), (274, "ID: 7563082")])
def test_letters_as_bright_as_the_colours_under_them(number: int, text: str) -> None:
    """Gray letters over white, red and yellow flow."""
    made = sample(number, 1)
    dataset = made.dataset
    image = describe(dataset, dataset.file_meta.TransferSyntaxUID, vr=dataset["PixelData"].VR)
    frame = pictures(dataset, image, next(iter(stored_frames(dataset, image, dataset.PixelData))))
    (found,) = read_frames([frame], LocalFinder(), lambda _: True)
    wanted = next(each.box for each in made.texts if text in each.text)
    assert max((wanted.clipped_to(each.box).area for each in found), default=0) > wanted.area / 2


def test_a_gray_picture_in_colour_is_looked_at_once() -> None:
    made = sample(205, 2)
    dataset = made.dataset
    image = describe(dataset, dataset.file_meta.TransferSyntaxUID, vr=dataset["PixelData"].VR)
    gray = np.repeat(next(iter(stored_frames(dataset, image, dataset.PixelData)))[..., :1], 3, axis=2)
    header = header_of(gray[np.newaxis])
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    colour = describe(header, ExplicitVRLittleEndian, vr="OB")
    assert len(pictures(header, colour, gray)) == 1
    gray[:40, :40] = (200, 0, 0)
    assert len(pictures(header, colour, gray.copy())) == 2


def test_the_local_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from deidentifier.pixels import local

    local._engine.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "rapidocr", None)
    with pytest.raises(PermanentError, match=r"research-pacs\[ocr\]"):
        LocalFinder().find(np.zeros((40, 40, 3), np.uint8))
    local._engine.cache_clear()
