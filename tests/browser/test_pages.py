"""Each page in Chromium: light and dark, wide and narrow, with nothing for axe-core or the console to complain of."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import BROKEN_WORDS, without_outline

pytestmark = pytest.mark.browser


def addresses(site) -> dict[str, str]:
    """Return a path to each page of the portal."""
    instance = site.store.ids[0]
    study, series = site.store.parents[instance]
    return {
        "home": "/",
        "search": "/search",
        "series results": "/search?level=series&q=Modality+StrEquals+CT",
        "instance results": "/search?level=instance",
        "syntax error": "/search?q=Modalty+StrEquals+CT",
        "nothing found": "/search?q=Modality+StrEquals+XX",
        "study": f"/studies/{study}",
        "series": f"/series/{series}",
        "instance": f"/instances/{instance}",
        "permissions": "/permissions",
        "searches": "/searches",
        "help": "/help",
        "tokens": "/tokens",
        "sessions": "/sessions",
        "not found": "/no-such-page",
        "status": "/status",
        "audit": "/audit",
        "users": "/users",
    }


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False)])
def test_every_page(site, log_in, width: int, dark: bool) -> None:
    user = log_in("ada", width=width, dark=dark)
    expected = {"syntax error": 400, "not found": 404}
    for name, path in addresses(site).items():
        assert user.goto(path).status == expected.get(name, 200), name
        assert user.page.locator("h1").count() == 1, name
        assert user.page.evaluate(BROKEN_WORDS) == [], name
        # What the width or the colours change is checked again, the rest is the same page.
        user.check("target-size" if width < 500 else "color-contrast" if dark else "")


def test_the_login_page(site, page) -> None:
    response = page.goto(f"{site.url}/login")
    assert "unsafe-inline" not in response.headers["content-security-policy"]
    page.fill("#name", "rita")
    page.fill("#password", "wrong")
    page.click("main button[type=submit]")
    page.locator("[role=alert]").wait_for()
    assert "password" in page.locator("[role=alert]").inner_text()


def test_script_in_an_element_is_shown_as_text(site, log_in) -> None:
    """Version 1.0 wrote values of elements into pages as they were."""
    user = log_in("rita")
    instance = site.store.ids[8]
    study, series = site.store.parents[instance]
    for path in (
        "/",
        "/search",
        "/search?level=series",
        f"/studies/{study}",
        f"/series/{series}",
        f"/instances/{instance}",
    ):
        user.goto(path)
        assert "stolen" not in user.page.title().replace("document.title='stolen'", "")
        assert user.page.locator("main script, main img[src='x']").count() == 0
    value = user.page.locator(".elements .value", has_text="<script>").first
    assert value.is_visible()


def test_the_page_works_by_keyboard_alone(site, log_in) -> None:
    user = log_in("rita")
    user.goto("/help")
    user.page.keyboard.press("Tab")
    assert user.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    user.page.keyboard.press("Enter")
    assert user.page.evaluate("document.activeElement.id") == "content"
    user.goto("/search")
    user.page.keyboard.press("/")
    assert user.page.evaluate("document.activeElement.id") == "q"
    user.page.keyboard.type("Modality StrEquals MR")
    user.page.keyboard.press("Enter")
    user.page.wait_for_url(re.compile("q=Modality"))
    assert user.page.locator("table.list tbody tr").count() == 2


@pytest.mark.parametrize("dark", [False, True])
def test_the_focus_is_always_seen(site, log_in, dark: bool) -> None:
    user = log_in("ada", dark=dark)
    pages = addresses(site)
    for name in ("search", "instance", "tokens", "users", "audit"):
        user.goto(pages[name])
        assert without_outline(user.page) == [], name


def test_suggestions_that_come_late_do_not_open_after_escape(site, log_in) -> None:
    user = log_in("rita")
    user.goto("/search")
    held: list[Route] = []
    with user.page.expect_request("**/search/suggest**"):
        user.page.route("**/search/suggest**", lambda route: held.append(route))
        user.page.locator("#q").press_sequentially("Moda")
    user.page.keyboard.press("Escape")
    with user.page.expect_response("**/search/suggest**"):
        for route in held:
            route.continue_()
    user.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert not user.page.locator("#suggestions").is_visible()


def test_what_arrives_later_has_its_place(site, log_in) -> None:
    user = log_in("rita")
    user.page.route("**/search/overview**", lambda route: route.fulfill(status=503))
    user.goto("/search")
    link, years = (user.page.locator(f".waiting > {each}").bounding_box() for each in ("p.panel", ".years"))
    assert link
    assert years
    assert years["x"] >= link["x"] + link["width"]


def test_dark_mode_is_remembered(site, log_in) -> None:
    user = log_in("rita")
    assert user.page.locator("html").get_attribute("data-bs-theme") == "light"
    user.page.click(".menu summary")
    user.page.click("[data-theme-toggle]")
    user.goto("/help")
    assert user.page.locator("html").get_attribute("data-bs-theme") == "dark"
