"""The whole way of a researcher, and of an administrator, through the portal."""

from __future__ import annotations

import re
import zipfile

import pytest

pytestmark = pytest.mark.browser


def test_from_the_first_page_to_the_files(site, log_in, tmp_path) -> None:
    user = log_in("rita")
    page = user.page
    assert page.locator(".tile b").all_inner_texts() == ["5", "6", "6", "10"]

    # Type, and take what is offered.
    page.fill("#q", "")
    page.locator("#q").press_sequentially("Moda")
    page.locator("#suggestions li", has_text=re.compile("^Modality$")).first.click()
    page.locator("#q").press_sequentially("streq")
    page.locator("#suggestions li", has_text="StrEquals").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("#suggestions li", has_text="CT").first.wait_for()
    page.keyboard.press("ArrowDown")
    while "CT" not in page.locator("#suggestions li[aria-selected=true]").inner_text():
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#q").strip() == "Modality StrEquals CT"
    page.keyboard.press("Escape")
    page.click("form[role=search] button[type=submit]")
    page.wait_for_url(re.compile("/search"))

    # Narrow by a facet, build one more condition: the same text as if typed.
    page.locator(".facets a", has_text="Chest").click()
    page.wait_for_url(re.compile("Chest"))
    assert page.input_value("#q") == "Modality StrEquals CT AND StudyDescription StrEquals Chest"
    page.locator("details.panel > summary").click()
    page.fill("#b-tag", "InstanceNumber")
    page.select_option("#b-operator", "NbLess")
    page.fill("#b-value", "3")
    page.click("details.panel form button")
    page.wait_for_url(re.compile("InstanceNumber"))
    assert page.input_value("#q").endswith("AND InstanceNumber NbLess 3")
    assert page.locator(".tile b").all_inner_texts() == ["1", "1", "1", "2"]

    # Save it.
    page.click(".bar details.menu summary")
    page.fill("#save-name", "first slices")
    page.click(".bar details.menu button[type=submit]")
    page.locator("a", has_text="first slices").click()

    # Study, series, instance.
    page.locator("table.list tbody a").first.click()
    page.locator("table.list tbody a").first.click()
    page.wait_for_url(re.compile("/series/"))
    assert page.locator(".thumbs li").count() == 3
    user.wait_until("[...document.querySelectorAll('.thumbs img')].every(i => i.naturalWidth > 0)")
    page.locator(".thumbs a").first.click()
    page.wait_for_url(re.compile("/instances/"))
    page.fill("#filter", "scheduledprocedurestepid")
    user.wait_until("[...document.querySelectorAll('.elements .row-e')].filter(e => e.offsetParent).length === 1")

    # Take.
    with page.expect_download() as download:
        page.click("text=Download DICOM")
    saved = tmp_path / "one.dcm"
    download.value.save_as(saved)
    assert saved.read_bytes()[128:132] == b"DICM"
    page.go_back()
    with page.expect_download() as download:
        page.click("text=Download ZIP")
    saved = tmp_path / "series.zip"
    download.value.save_as(saved)
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3

    # Go.
    page.click("header .menu summary")
    page.click("text=Log out")
    page.wait_for_url(re.compile("log"))
    assert page.goto(site.url + "/search").url.startswith(site.url + "/login")


def test_an_error_stands_under_its_character(site, log_in) -> None:
    user = log_in("rita")
    user.goto("/search?q=Modality+StrEquals+CT+AND+StudyDescripton+StrEquals+x")
    assert user.page.locator(".query-error mark").inner_text() == "S"
    assert user.page.locator(".query-error span").first.inner_text().strip() == "Modality StrEquals CT AND"
    assert "StudyDescription" in user.page.locator(".query-error").inner_text()


def test_frames_and_windows(site, log_in) -> None:
    """Version 1.0 ignored the number of the frame."""
    user = log_in("rita")
    page = user.page
    user.goto(f"/instances/{site.store.ids[7]}")

    def brightness() -> int:
        return page.evaluate(
            """() => { const i = document.querySelector('.stage img'); const c = document.createElement('canvas');
            c.width = c.height = 8; const x = c.getContext('2d'); x.drawImage(i, 0, 0, 8, 8);
            return x.getImageData(4, 4, 1, 1).data[0]; }"""
        )

    def shown(frame: int) -> str:
        return (
            "(() => { const i = document.querySelector('.stage img');"
            f" return i.src.includes('/frames/{frame}.') && i.complete; }})()"
        )

    seen = []
    for frame in (1, 2, 3, 4):
        page.evaluate(
            "n => { const s = document.querySelector('#frame'); s.value = n; s.dispatchEvent(new Event('input')); }",
            frame,
        )
        user.wait_until(shown(frame))
        seen.append(brightness())
    assert [round(value, -1) for value in seen] == [10, 90, 170, 250]

    page.fill("#center", "10")
    page.fill("#width", "10")
    page.keyboard.press("Tab")
    user.wait_until("document.querySelector('.stage img').src.includes('width=10')")
    page.focus("#frame")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    user.wait_until(shown(2))
    assert brightness() == 255

    page.click("[data-play]")
    user.wait_until("document.querySelector('[data-frame-shown]').textContent.startsWith('4')")
    page.click("[data-play]")
    assert page.locator("[data-play]").inner_text() == "Play"


def test_a_ct_only_user_finds_nothing_else(site, log_in) -> None:
    user = log_in("carl")
    user.goto("/search")
    assert user.page.locator(".facets").inner_text().count("MR") == 0
    assert "Knee" not in user.page.locator("main").inner_text()
    forbidden = site.store.ids[3]
    assert user.goto(f"/instances/{forbidden}").status == 404
    user.check()


def test_without_downloads_there_are_no_buttons(site, log_in) -> None:
    user = log_in("vera")
    instance = site.store.ids[0]
    study, series = site.store.parents[instance]
    for path in (f"/instances/{instance}", f"/series/{series}", f"/studies/{study}", "/search"):
        user.goto(path)
        assert user.page.locator("a[href$='.dcm'], a[href*='.zip']").count() == 0


def test_without_a_profile(site, log_in) -> None:
    user = log_in("nemo")
    assert "No profile is yours yet" in user.page.locator("main").inner_text()
    user.check()
    assert user.goto("/search").status == 403
    user.check()


def test_an_administrators_way(site, log_in) -> None:
    log_in("rita").goto("/search?q=Modality+StrEquals+MR")
    user = log_in("ada")
    page = user.page
    page.click("nav >> text=Ingest")
    page.wait_for_url(re.compile("/status"))
    assert "another database" in page.locator("main").inner_text()
    page.click("nav >> text=Audit")
    page.wait_for_url(re.compile("/audit"))
    page.fill("#user", "rita")
    page.click("main button[type=submit]")
    page.wait_for_url(re.compile("user=rita"))
    assert "Modality is" in page.locator("main").inner_text()
    page.click("nav >> text=Users")
    page.wait_for_url(re.compile("/users"))
    assert "rita" in page.locator("main").inner_text()
    user.check()
