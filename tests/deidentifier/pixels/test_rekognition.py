"""The shapes of DetectText against moto, and the arithmetic of its geometry against answers of the recorded shape."""

from __future__ import annotations

import math
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from common.errors import PermanentError, RefusedError, TransientError
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.engines import engines
from deidentifier.pixels.local import LocalFinder
from deidentifier.pixels.rekognition import RekognitionFinder, enlarge, rekognition, surround


def word(text: str, box: tuple[float, float, float, float], polygon: list[tuple[float, float]], **more: Any) -> dict:
    """Return a detection as the service sends it: box as left, top, width, height."""
    left, top, width, height = box
    bounding = {"Left": left, "Top": top, "Width": width, "Height": height}
    geometry = {"BoundingBox": bounding, "Polygon": [{"X": x, "Y": y} for x, y in polygon]}
    return {
        "DetectedText": text,
        "Type": "WORD",
        "Id": 1,
        "ParentId": 0,
        "Confidence": 99.1,
        "Geometry": geometry,
    } | more


def upright(left: float, top: float, width: float, height: float) -> list[tuple[float, float]]:
    return [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return boto3.client("rekognition", region_name="eu-central-1")


def found(client: Any, picture: np.ndarray, *answers: list[dict]) -> list[Any]:
    with Stubber(client) as stubber:
        for answer in answers:
            response = {"TextDetections": answer, "TextModelVersion": "3.0"}
            stubber.add_response("detect_text", response, {"Image": {"Bytes": ANY}})
        findings = RekognitionFinder(client).find(picture)
        stubber.assert_no_pending_responses()
    return findings


PICTURE = np.zeros((1000, 800, 3), np.uint8)


def test_moto_answers_in_the_shape_that_is_read() -> None:
    with mock_aws():
        findings = RekognitionFinder(boto3.client("rekognition", region_name="eu-west-1")).find(PICTURE)
    assert findings
    assert all(finding.text and 0.5 <= finding.confidence <= 1 for finding in findings)
    assert all(finding.box == finding.box.clipped(800, 1000) and finding.box.area for finding in findings)


def test_a_word_becomes_a_box_of_pixels(client: Any) -> None:
    box = (0.25, 0.1, 0.5, 0.02)
    [finding] = found(client, PICTURE, [word("DOE", box, upright(*box))])
    # 200 to 600 and 100 to 120, grown by 2 and a sixth of the height.
    assert finding.box == Box(195, 95, 605, 125)
    assert finding.confidence == pytest.approx(0.991)


def test_lines_repeat_their_words_and_are_left_out(client: Any) -> None:
    box = (0.25, 0.1, 0.5, 0.02)
    answer = [word("JOHN DOE", box, upright(*box), Type="LINE"), word("DOE", box, upright(*box))]
    assert [finding.text for finding in found(client, PICTURE, answer)] == ["DOE"]


def test_unsure_words_are_left_out(client: Any) -> None:
    box = (0.25, 0.1, 0.5, 0.02)
    assert found(client, PICTURE, [word("DOE", box, upright(*box), Confidence=31.0)]) == []


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.0, 0.0, 0.1, 0.01), Box(0, 0, 83, 13)),
        ((-0.05, -0.01, 0.1, 0.02), Box(0, 0, 45, 15)),
        ((0.95, 0.99, 0.1, 0.05), Box(750, 980, 800, 1000)),
    ],
)
def test_boxes_at_the_borders_stay_in_the_picture(box: Any, expected: Box) -> None:
    geometry = word("DOE", box, upright(*box))["Geometry"]
    assert surround(geometry, 800, 1000) == expected


@pytest.mark.parametrize("angle", [30, 90, -90, 180])
def test_a_turned_polygon_is_covered_whole(angle: int) -> None:
    turn = math.radians(angle)
    corners = [(-150, -10), (150, -10), (150, 10), (-150, 10)]
    points = [
        (400 + x * math.cos(turn) - y * math.sin(turn), 500 + x * math.sin(turn) + y * math.cos(turn))
        for x, y in corners
    ]
    polygon = [(x / 800, y / 1000) for x, y in points]
    # The service's bounding box of turned text may be smaller than the text.
    box = surround(word("DOE", (0.45, 0.48, 0.1, 0.04), polygon)["Geometry"], 800, 1000)
    assert all(box.left <= x <= box.right and box.top <= y <= box.bottom for x, y in points)


def test_small_pictures_are_enlarged_and_boxes_come_back_in_their_pixels(client: Any) -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    enlarged, factor = enlarge(picture)
    assert enlarged.shape == (640, 1280, 3)
    assert factor == pytest.approx(6.4)
    [finding] = found(client, picture, [word("DOE", (0.5, 0.5, 0.25, 0.1), upright(0.5, 0.5, 0.25, 0.1))])
    assert finding.box.left <= 100 <= 150 <= finding.box.right
    assert finding.box.top <= 50 <= 60 <= finding.box.bottom
    assert finding.box.area < 60 * 20


def test_narrow_pictures_reach_the_smallest_size() -> None:
    enlarged, factor = enlarge(np.zeros((10, 1200, 3), np.uint8))
    assert min(enlarged.shape[:2]) >= 80
    assert factor == pytest.approx(1280 / 1200)


def test_large_pictures_go_in_tiles(client: Any) -> None:
    picture = np.zeros((1280, 2400, 3), np.uint8)
    box = (0.5, 0.5, 0.1, 0.01)
    first, second = found(client, picture, [word("A1", box, upright(*box))], [word("B2", box, upright(*box))])
    assert first.box.left < 1280 < second.box.left


def test_a_full_answer_is_asked_for_in_parts(client: Any) -> None:
    box = (0.4, 0.4, 0.01, 0.01)
    full = [word(f"W{number}", box, upright(*box)) for number in range(100)]
    findings = found(client, np.zeros((800, 800, 3), np.uint8), full, [full[0]], [], [], [full[1]])
    assert [finding.text for finding in findings] == ["W0", "W1"]


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ThrottlingException", 400, TransientError),
        ("InternalServerError", 500, TransientError),
        ("AccessDeniedException", 400, RefusedError),
        ("ImageTooLargeException", 400, RefusedError),
    ],
)
def test_errors_of_the_service(client: Any, code: str, status: int, error: type[Exception]) -> None:
    with Stubber(client) as stubber:
        stubber.add_client_error("detect_text", code, "text of the service", status)
        with pytest.raises(error) as caught:
            RekognitionFinder(client).find(PICTURE)
    assert "text of the service" not in str(caught.value)


def test_which_engine_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    rekognition.cache_clear()
    with pytest.raises(PermanentError, match="RPACS_REKOGNITION_REGION"):
        engines(None)("rekognition")
    assert isinstance(engines(None)(None), LocalFinder)
    assert isinstance(engines("eu-west-1")("local"), LocalFinder)
    assert isinstance(engines("eu-west-1")(None), RekognitionFinder)
    with pytest.raises(PermanentError, match="local, rekognition"):
        engines(None)("tesseract")


def test_the_region_of_other_services_does_not_choose_rekognition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert isinstance(engines(None)(None), LocalFinder)
