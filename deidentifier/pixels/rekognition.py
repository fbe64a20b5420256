"""Amazon Rekognition's DetectText as the engine: chosen by a rule or by RPACS_REKOGNITION_REGION, never by default.

Its limits (Amazon Rekognition Developer Guide, "Guidelines and quotas"): 5 MB of image bytes in a request, at least 80
pixels a side, 100 words in an answer. So pictures go in tiles that fit whatever they show, small ones are enlarged,
and a tile whose answer is full is asked for again in four parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO
from math import ceil, floor
from typing import Any

import boto3
import numpy as np
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from PIL import Image

from common.errors import PermanentError, RefusedError, TransientError
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.finder import Finding
from deidentifier.pixels.pictures import Picture
from deidentifier.pixels.tiles import parts, tiles

#: 1280 × 1280 pixels of 3 bytes are 4.9 MB even where PNG cannot compress them.
_TILE = 1280
_SMALLEST = 80
_READABLE = 640
_MOST_WORDS = 100
_CONFIDENCE = 0.5
_TRANSIENT = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestTimeout",
    "ServiceUnavailableException",
    "ThrottlingException",
}


class RekognitionFinder:
    """Finds text with Rekognition in one region; the pictures leave this machine."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def find(self, picture: Picture, part: Box | None = None, known: Sequence[Finding] = ()) -> list[Finding]:
        """Return the words found in all tiles of a part of the picture.

        Raises
        ------
        TransientError
            The service is away or wants less at a time.
        RefusedError
            The service refuses: permissions, or the picture.
        """
        return [found for tile in parts(picture, part, side=_TILE) for found in self._in(picture, tile)]

    def _in(self, picture: Picture, tile: Box) -> Iterator[Finding]:
        part = picture[tile.top : tile.bottom, tile.left : tile.right]
        enlarged, factor = enlarge(part)
        words = [one for one in self._ask(enlarged) if one.get("Type") == "WORD"]
        if len(words) >= _MOST_WORDS and min(part.shape[:2]) >= 2 * _SMALLEST:
            for quarter in tiles(part.shape[1], part.shape[0], side=max(part.shape[:2]) // 2 + 40, overlap=40):
                yield from self._in(picture, quarter.shifted(tile.left, tile.top))
            return
        for word in words:
            box = surround(word["Geometry"], enlarged.shape[1], enlarged.shape[0])
            box = box.scaled(1 / factor, 1 / factor).clipped(part.shape[1], part.shape[0])
            confidence = float(word.get("Confidence", 0.0)) / 100
            if box.area and confidence >= _CONFIDENCE:
                yield Finding(box.shifted(tile.left, tile.top), str(word.get("DetectedText", "")), confidence)

    def _ask(self, picture: Picture) -> list[dict[str, Any]]:
        buffer = BytesIO()
        Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
        try:
            answer = self._client.detect_text(Image={"Bytes": buffer.getvalue()})
        except ClientError as exc:
            code = exc.response.get("Error", {}).get("Code", "")
            status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in _TRANSIENT or status >= 500:
                raise TransientError("Rekognition is away or wants fewer requests") from exc
            raise RefusedError(f"Rekognition refuses: {code}") from exc
        except BotoCoreError as exc:
            raise TransientError("Rekognition does not answer") from exc
        found: list[dict[str, Any]] = answer.get("TextDetections", [])
        return found


def enlarge(picture: Picture) -> tuple[Picture, float]:
    """Return the picture large enough for small letters, at least of the service's smallest size, and by how much.

    Too narrow a picture is filled up at the right or the bottom, which does not move anything.
    """
    rows, columns = picture.shape[:2]
    factor = max(1.0, min(_READABLE / min(rows, columns), _TILE / max(rows, columns)))
    if factor > 1:
        size = (max(1, round(columns * factor)), max(1, round(rows * factor)))
        picture = np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BICUBIC))
    missing = [(0, max(0, _SMALLEST - length)) for length in picture.shape[:2]]
    return np.pad(picture, [*missing, (0, 0)], mode="edge"), factor


def surround(geometry: dict[str, Any], columns: int, rows: int) -> Box:
    """Return the box in pixels around a word: its BoundingBox and its Polygon, which is turned with the text.

    Both are fractions of the picture's size and may reach beyond it.
    """
    across, down = [], []
    bounding = geometry.get("BoundingBox") or {}
    if bounding:
        across += [bounding["Left"], bounding["Left"] + bounding["Width"]]
        down += [bounding["Top"], bounding["Top"] + bounding["Height"]]
    for point in geometry.get("Polygon") or []:
        across.append(point["X"])
        down.append(point["Y"])
    if not across:
        return Box(0, 0, columns, rows)
    # Fractions are rounded to a thousandth of a pixel: 0.1 + 0.02 of 1000 must not reach into pixel 121.
    across, down = [round(x * columns, 3) for x in across], [round(y * rows, 3) for y in down]
    left, right = floor(min(across)), ceil(max(across))
    top, bottom = floor(min(down)), ceil(max(down))
    return Box(left, top, right, bottom).padded(2 + min(right - left, bottom - top) // 6).clipped(columns, rows)


@cache
def rekognition(region: str | None) -> RekognitionFinder:
    """Return the engine for a region, with credentials from the environment (boto3's chain).

    Raises
    ------
    PermanentError
        Neither we nor boto3 know of a region.
    """
    config = Config(connect_timeout=5, read_timeout=60, retries={"max_attempts": 4, "mode": "standard"})
    try:
        return RekognitionFinder(boto3.client("rekognition", region_name=region, config=config))
    except NoRegionError:
        raise PermanentError("Engine: rekognition needs RPACS_REKOGNITION_REGION or AWS_REGION") from None
