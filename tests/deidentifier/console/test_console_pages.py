"""Each page of the console in Chromium: light and dark, wide and narrow, with nothing for axe-core to complain of."""

import threading

import pytest
from werkzeug.serving import make_server

from demo.servers.process import free_port
from tests.browser.conftest import AXE, BROKEN_WORDS, VIOLATIONS, without_outline
from tests.deidentifier.console.conftest import PASSWORD

pytestmark = pytest.mark.browser


@pytest.fixture
def address(console):
    """Give the address of the console, which a thread serves."""
    server = make_server("127.0.0.1", free_port(), console, threaded=True)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def open_page(address, browser):
    """Give a function that opens pages as an administrator; at the end no script may have failed."""
    contexts, complaints = [], []

    def make(width=1280, dark=False):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/login")
        page.fill("#name", "alice")
        page.fill("#password", PASSWORD)
        page.click("main form button")
        page.wait_for_url(f"{address}/")
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def check(page, path):
    """Hold a page to what every page must be."""
    page.evaluate(AXE)
    serious = [each for each in page.evaluate(VIOLATIONS % "{}") if each.startswith(("serious", "critical"))]
    assert serious == [], path
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0, path
    assert page.evaluate(BROKEN_WORDS) == [], path
    assert page.locator("h1").count() == 1, path


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False)])
def test_every_page(console, quarantined, address, open_page, width, dark):
    queue = console.extensions["console"].queue
    with queue.database.transaction() as cursor:
        found = '{"findings": [{"path": "00081030", "class": "PatientName", "rule": "KeepTags"}]}'
        cursor.execute("UPDATE ingest.tasks SET detail = %s WHERE id = %s", (found, quarantined))
    page = open_page(width, dark)
    task = f"/tasks/{quarantined}"
    elements, frames = f"{task}/elements", f"{task}/frames"
    listed = ["/", "/?span=week", "/tasks", "/tasks?state=waiting", "/tasks?state=nix", "/tasks?state=running", task]
    for path in [*listed, elements, f"{elements}?preview=yes", frames, f"{frames}?preview=yes", "/no-such-page"]:
        page.goto(address + path)
        page.wait_for_load_state("networkidle")
        check(page, path)


def test_the_login_page(address, page):
    page.goto(address)
    check(page, "/login")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_the_focus_is_always_seen(quarantined, address, open_page):
    page = open_page()
    for path in ("/", "/tasks", f"/tasks/{quarantined}", f"/tasks/{quarantined}/frames"):
        page.goto(address + path)
        assert without_outline(page) == [], path


def test_what_cannot_be_undone_asks_first(quarantined, address, open_page):
    page = open_page()
    page.goto(f"{address}/tasks/{quarantined}")
    last = page.get_by_role("button", name="Discard: send nothing on")
    assert not last.is_visible()
    page.locator("summary", has_text="Discard").press("Enter")
    assert "cannot be brought back" in page.locator(".decide[open]").inner_text()
    last.press("Enter")
    page.locator("[role=status]", has_text="The task is discarded").wait_for()


def test_a_frame_that_cannot_be_drawn_says_so(console, quarantined, address, open_page):
    page = open_page()
    page.goto(f"{address}/tasks/{quarantined}/frames")
    assert not page.locator("[data-fallback-reason]").is_visible()
    page.route("**/frames/before/1.png", lambda route: route.fulfill(status=422))
    page.reload()
    page.locator("text=This frame cannot be drawn").wait_for()
    assert not page.locator("img.frame").is_visible()
