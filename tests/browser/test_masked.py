"""The portal's page shows masked files as it shows the originals: black in the boxes, the rest unchanged."""

from __future__ import annotations

import io
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from common.rendering import pixel_height
from deidentifier.pixels.boxes import Box
from tests.deidentifier.pixels.conftest import pixel_files
from tests.deidentifier.pixels.test_mask import mask_dataset, opens, read, three_boxes, touched

pytestmark = pytest.mark.filterwarnings("ignore")
#: The page shows JPEG pictures; and the window of an image may reach beyond what its BitsStored can hold.
BLACK = 24
#: Pictures are compressed in blocks of so many pixels; a decoder mixes colour over their border.
BLOCK = 16

#: Compares the picture on the page with that of the original: pixels outside, and how bright it is inside.
_COMPARE = """async ([original, blank, inside, touched]) => {
  const pixels = image => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth || image.width, image.naturalHeight || image.height];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  };
  const fetched = async url => {
    const answer = await fetch(url);
    return answer.ok ? pixels(await createImageBitmap(await answer.blob())) : null;
  };
  const within = (boxes, x, y) => boxes.some(b => x >= b[0] && y >= b[1] && x < b[2] && y < b[3]);
  const before = await fetched(original);
  if (!before) return null;
  const image = document.querySelector(".stage img");
  await image.decode();
  const after = pixels(image);
  if (before.width !== after.width || before.height !== after.height) throw new Error("another size");
  let bright = 0, changed = 0, compared = 0;
  for (let y = 0, at = 0; y < after.height; y++) for (let x = 0; x < after.width; x++, at += 4) {
    const hidden = within(inside, x, y), free = !within(touched, x, y);
    compared += free;
    for (let colour = 0; colour < 3; colour++) {
      if (hidden) bright = Math.max(bright, after.data[at + colour]);
      if (free) changed = Math.max(changed, Math.abs(after.data[at + colour] - before.data[at + colour]));
    }
  }
  const all = (await fetched(blank)).data;
  const brightest = all.reduce((most, one, at) => at % 4 === 3 ? most : Math.max(most, one), 0);
  return {bright, changed, compared, blank: brightest};
}"""


def as_file(dataset: Dataset) -> bytes:
    """Return a file of an instance of its own, with all that a store asks for."""
    copied = deepcopy(dataset)
    copied.SOPInstanceUID = copied.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    copied.StudyInstanceUID = copied.SeriesInstanceUID = generate_uid()
    copied.PatientID = copied.get("PatientID") or "NONE"
    syntax = dataset.file_meta.TransferSyntaxUID
    buffer = io.BytesIO()
    copied.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return buffer.getvalue()


@pytest.mark.parametrize("part", range(2))
def test_chromium_shows_black(site, log_in, part: int) -> None:
    user = log_in("rita")
    shown = [path.name for path in pixel_files()[part::2] if _compare(user, site, path)]
    assert len(shown) > 50


def _compare(user, site, path: Path) -> bool:
    """Return whether the page shows the original; then it must show the masked one."""
    dataset = read(path)
    if "TransferSyntaxUID" not in dataset.file_meta or "SOPClassUID" not in dataset or not opens(dataset):
        return False
    boxes = three_boxes(dataset)
    try:
        versions = [dataset, mask_dataset(dataset, boxes[:2])[1], mask_dataset(dataset, boxes[2:])[1]]
        original, masked, blank = site.store.add(*map(as_file, versions))
    except (TypeError, ValueError, AttributeError):  # pydicom does not write every file that it reads
        return False
    user.page.goto(f"{site.url}/instances/{masked}", wait_until="domcontentloaded")
    seen = _parts_of(dataset, boxes[:2])
    urls = [f"/instances/{each}/frames/1.jpeg" for each in (original, blank)]
    result = user.page.evaluate(_COMPARE, [*urls, *seen])
    if result is None:
        return False
    assert max(result["bright"], result["blank"]) <= BLACK, path.name
    # A file without a window is shown in that of its values: those under the boxes may have been its outermost.
    assert result["changed"] <= (2 if _has_window(dataset) else 8), path.name
    return True


def _parts_of(dataset: Dataset, boxes: list[Box]) -> tuple[list[Box], list[Box]]:
    """Return the parts of the picture that must be black, and those that may differ from the original's."""
    # Pixels that are not square are shown stretched.
    height = pixel_height(dataset)
    across, down = max(1.0, 1 / height), max(1.0, height)
    inside = [box.scaled(across, down).padded(-6) for box in boxes]
    may_differ = [touched(dataset, box).scaled(across, down).padded(2).aligned(BLOCK, BLOCK).padded(2) for box in boxes]
    return inside, may_differ


def _has_window(dataset: Dataset) -> bool:
    return "WindowCenter" in dataset or dataset.SamplesPerPixel > 1 or dataset.BitsAllocated == 8
