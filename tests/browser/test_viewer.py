"""The real OHIF on a real Orthanc: what stands on its canvas is what pydicom makes of the file."""

from __future__ import annotations

import base64
import io
import os
import re
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing, convert_color_space, pixel_array

from tests.browser.conftest import Site, User
from tests.browser.viewer_store import KINDS, of_study, slices
from tests.helpers.research_store import make_instance, sample
from website.ohif import DEFAULT_FOLDER
from website.ohif.build import build

pytestmark = pytest.mark.browser
DEADLINE = 60
CANVAS = "canvas.cornerstone-canvas"


@pytest.fixture(scope="module", autouse=True)
def _viewer() -> None:
    build(DEFAULT_FOLDER)


def draw(data: bytes, frame: int = 0) -> np.ndarray:
    """Draw a frame with pydicom alone: modality, window, palette, colour space; values from 0 to 255."""
    dataset = dcmread(io.BytesIO(data))
    pixels = pixel_array(dataset, index=frame, raw=True)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(pixels, dataset)
        return colours.astype(float) * 255 / np.iinfo(colours.dtype).max
    if pixels.ndim == 3:
        space = dataset.PhotometricInterpretation
        return convert_color_space(pixels, space, "RGB", per_frame=True).astype(float)
    values = apply_modality_lut(pixels, dataset)
    if "WindowCenter" not in dataset:  # nothing is said: from the least to the greatest value of the frame
        return (values - values.min()) * 255.0 / (values.max() - values.min())
    shown = apply_windowing(values, dataset).astype(float)
    low, high = _range(values, dataset)
    return np.clip((shown - low) * 255 / (high - low), 0, 255)


def _range(values: np.ndarray, dataset: Dataset) -> tuple[float, float]:
    """Return the range that pydicom's windowing maps to (its output keeps the range of the modality transform)."""
    signed = dataset.PixelRepresentation == 1
    low, high = (-(2 ** (dataset.BitsStored - 1)), 2 ** (dataset.BitsStored - 1) - 1) if signed else (
        0, 2**dataset.BitsStored - 1
    )  # fmt: skip
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def on_canvas(user: User) -> Image.Image | None:
    """Return what stands on the first canvas."""
    script = f"(c => c && c.width ? c.toDataURL('image/png') : '')(document.querySelector('{CANVAS}'))"
    address = user.page.evaluate(script)
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))).convert("RGB") if address else None


def distance(canvas: Image.Image, wanted: np.ndarray, aspect: float = 1.0) -> float:
    """Return how far a canvas is from a picture that fills it, in the mean over the pixels; 255 is black from white."""
    rows, columns = wanted.shape[:2]
    scale = min(canvas.width / columns, canvas.height / (rows * aspect))
    width, height = columns * scale, rows * aspect * scale
    left, top = max((canvas.width - width) / 2, 0), max((canvas.height - height) / 2, 0)
    shown = canvas.resize(
        (columns, rows), Image.Resampling.BOX, box=(left, top, canvas.width - left, canvas.height - top)
    )
    picture = np.asarray(shown, dtype=float)
    return float(np.abs(picture - (wanted if wanted.ndim == 3 else wanted[..., None])).mean())


def see(user: User, wanted: np.ndarray, kind: str, closer_than: float = 8.0) -> None:
    """Wait until the canvas shows a picture, and hold it to that."""
    deadline, found = time.monotonic() + DEADLINE, 255.0
    assert wanted.std() > 5, "a picture without a pattern would prove nothing"
    while time.monotonic() < deadline:
        canvas = on_canvas(user)
        found = distance(canvas, wanted) if canvas is not None else found
        if found < closer_than:
            return
        user.page.wait_for_timeout(100)
    raise AssertionError(f"{kind}: the canvas differs from the picture by {found:.1f} of 255")


def wait_for(user: User, condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        user.page.wait_for_timeout(100)


def open_viewer(user: User, site: Site, *files: bytes, more: str = "") -> None:
    """Open the viewer with the studies of some files."""
    uids = dict.fromkeys(str(dcmread(io.BytesIO(data), stop_before_pixels=True).StudyInstanceUID) for data in files)
    user.page.goto(f"{site.url}/viewer/viewer?StudyInstanceUIDs={','.join(uids)}{more}")


def test_a_hundred_slices(site, log_in) -> None:
    files = slices()
    site.store.add(*files)
    user = log_in("rita")
    study = next(parents[0] for each, parents in site.store.parents.items() if each == site.store.ids[-1])
    user.goto(f"/studies/{study}")
    user.page.click("text=Open in viewer")
    user.page.wait_for_url(re.compile("/viewer/viewer\\?StudyInstanceUIDs="))
    # OHIF orders by position, along the normal of the slices: from the last to the first.
    pictures = [draw(files[0]), draw(files[-1])]
    wait_for(user, lambda: on_canvas(user) is not None)
    wait_for(user, lambda: min(distance(on_canvas(user), each) for each in pictures) < 8)
    before = on_canvas(user)
    for _ in range(10):
        user.page.mouse.move(700, 500)
        user.page.mouse.wheel(0, 100)
        user.page.wait_for_timeout(20)
    wait_for(user, lambda: min(distance(on_canvas(user), draw(files[at])) for at in (10, 89)) < 8)
    assert on_canvas(user) != before


def test_kinds_of_images(site, log_in) -> None:
    files = {kind: make() for kind, make in KINDS.items() if kind not in ("report", "PDF")}
    site.store.add(*files.values())
    user = log_in("rita")
    for kind, data in files.items():
        open_viewer(user, site, data)
        see(user, draw(data), kind)


def test_a_report_and_a_pdf(site, log_in) -> None:
    report, paper = KINDS["report"](), KINDS["PDF"]()
    site.store.add(report, paper)
    user = log_in("rita")
    open_viewer(user, site, report)
    text = str(dcmread(io.BytesIO(report)).ContentSequence[2].TextValue)[:20]
    user.page.get_by_text(text).first.wait_for(timeout=DEADLINE * 1000)
    open_viewer(user, site, paper)
    user.page.wait_for_selector("object[type='application/pdf']", timeout=DEADLINE * 1000)
    assert user.page.get_attribute("object[type='application/pdf']", "data").startswith("blob:")


def test_what_is_forbidden_does_not_appear(site, log_in) -> None:
    """A forbidden series of a permitted study, and a forbidden prior of the patient."""
    ct, mr = slices(2), slices(2, series=2, Modality="MR", SeriesDescription="Hidden series")
    prior = make_instance(51, 7, 1, 1, PatientID="V1", Modality="MR", StudyDescription="Hidden prior")
    site.store.add(*ct, *mr, prior)
    user = log_in("carl")
    asked: list[tuple[str, str]] = []
    user.page.on("response", lambda r: "/dicom-web/" in r.url and asked.append((r.url, r.text())))
    open_viewer(user, site, ct[0])
    wait_for(user, lambda: on_canvas(user) is not None)
    wait_for(user, lambda: [url for url, _ in asked if "00100020=V1" in url or "PatientID=V1" in url])
    user.page.wait_for_load_state("networkidle")
    page = user.page.content()
    assert "Hidden" not in page
    assert "Hundred slices" in page
    hidden = [str(dcmread(io.BytesIO(data)).SeriesInstanceUID) for data in (mr[0], prior)]
    assert not [url for url, body in asked if any(uid in body or "Hidden" in body for uid in hidden)]
    full = log_in("rita")
    open_viewer(full, site, ct[0])
    full.page.get_by_text("Hidden series").first.wait_for(timeout=DEADLINE * 1000)


def test_two_studies_side_by_side(site, log_in) -> None:
    first, second = slices(2), of_study(sample("693_J2KR.dcm"), 1)
    site.store.add(*first, second)
    user = log_in("rita")
    parents = [site.store.parents[each][0] for each in site.store.ids[-2:]]
    user.page.goto(f"{site.url}/studies/{parents[0]}/viewer?with={parents[1]}")
    wait_for(user, lambda: user.page.locator(CANVAS).count() >= 2)
    # OHIF itself remarks that its layout has room for more series than there are.
    user.complaints[:] = [each for each in user.complaints if "hanging protocol viewport" not in each]


def test_on_a_phone_the_image_has_the_room(site, log_in) -> None:
    data = slices(1)[0]
    site.store.add(data)
    user = log_in("rita", width=360)
    open_viewer(user, site, data)
    wait_for(user, lambda: (on_canvas(user) or Image.new("RGB", (1, 1))).width > 200)
    see(user, draw(data), "on a phone")
    if shot := os.environ.get("VIEWER_SCREENSHOT"):
        user.page.screenshot(path=shot)


def test_not_logged_in_leads_to_the_login_and_back(site, page) -> None:
    data = slices(1)[0]
    site.store.add(data)
    uid = str(dcmread(io.BytesIO(data)).StudyInstanceUID)
    page.goto(f"{site.url}/viewer/viewer?StudyInstanceUIDs={uid}")
    page.fill("#name", "rita")
    page.fill("#password", "correct horse battery")
    page.click("main button[type=submit]")
    page.wait_for_url(re.compile(re.escape(f"/viewer/viewer?StudyInstanceUIDs={uid}")))
    page.wait_for_selector(CANVAS, timeout=DEADLINE * 1000)


def test_an_expired_session_leads_to_the_login(site, log_in) -> None:
    """While the viewer is open: what it asks for next is refused, and it goes to the login by itself."""
    data = slices(1)[0]
    site.store.add(data)
    user = log_in("rita")
    open_viewer(user, site, data)
    user.page.wait_for_selector(CANVAS, timeout=DEADLINE * 1000)
    site.services.users.revoke_everything("rita")
    # Another study is asked for by its address, without loading the page again.
    user.page.reload(wait_until="commit")
    user.page.wait_for_url(re.compile(r"/login\?next=%2Fviewer%2Fviewer"), timeout=DEADLINE * 1000)
    user.complaints.clear()  # OHIF writes every refused request to the console


def test_who_may_not_download_has_no_viewer(site, log_in) -> None:
    data = slices(1)[0]
    site.store.add(data)
    user = log_in("vera")
    study = site.store.parents[site.store.ids[-1]][0]
    user.goto(f"/studies/{study}")
    assert user.page.locator("text=Open in viewer").count() == 0
    assert user.goto("/viewer/viewer?StudyInstanceUIDs=1.2.3").status == 403
