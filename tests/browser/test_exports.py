"""The whole way of an export in a browser: from a search to the files, with and without scripts, on every screen."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.servers.process import Server

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("EXPORT_SCREENSHOTS", "")


@pytest.fixture
def start_worker(site, tmp_path) -> Any:
    """Give a function that starts a worker as a process."""
    started: list[Server] = []

    def start() -> None:
        command = [sys.executable, "-m", "website", "work", "--only", "export"]
        started.append(Server("export", command, log=tmp_path / "worker.log", environ={**os.environ, **site.environ}))
        started[-1].start(lambda: True)

    yield start
    for server in started:
        server.stop()


def shoot(user: Any, name: str) -> None:
    """Keep a picture where somebody asked for them."""
    if SHOTS:
        user.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def test_from_a_search_to_the_files(site, s3, log_in, start_worker) -> None:
    user = log_in("rita")
    page = user.page
    user.goto("/search?q=Modality+StrEquals+CT")
    page.click(".bar details.menu summary")
    page.locator(".drop a", has_text="Export").click()
    page.wait_for_url(re.compile("/exports/new"))
    assert page.input_value("#query") == "Modality StrEquals CT"
    page.select_option("#format", "png")
    page.wait_for_url(re.compile("format=png"))
    assert page.locator(".keys li code").first.inner_text().endswith(".png")
    assert page.is_visible("#name")
    assert not page.is_visible("#bucket")
    user.check()
    shoot(user, "export-new")
    page.check("#kind-keys")
    assert page.is_visible("#bucket")
    assert page.is_visible("#keys-secret")
    page.check("#kind-role")
    assert page.is_visible("#role")
    user.check()
    shoot(user, "export-new-role")
    page.check("#kind-configured")
    page.fill("#prefix", "first")
    page.click("form[method=post] button:has-text('instances')")
    page.wait_for_url(re.compile(r"/exports/[0-9a-f-]{36}$"))
    assert page.locator("[data-field=state]").first.inner_text() == "queued"
    user.check()
    shoot(user, "export-queued")

    # The page follows by itself until the job is complete.
    start_worker()
    page.locator("#fetch-title").wait_for(timeout=60_000)
    assert page.locator("[data-field=state]").first.inner_text() == "complete"
    assert "aws s3 sync" in page.locator("pre").first.inner_text()
    user.check()
    shoot(user, "export-done")
    listed = s3.client.list_objects_v2(Bucket=s3.name, Prefix="rita/first/")["Contents"]
    names = {each["Key"].removeprefix("rita/first/") for each in listed}
    assert {"manifest.csv", "export.json"} <= names
    assert sum(name.endswith(".png") for name in names) >= 9

    user.goto("/exports")
    assert page.locator("tbody tr").count() == 1
    user.check()


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, True), (360, True)])
def test_on_other_screens(site, log_in, width, dark) -> None:
    user = log_in("rita", width=width, dark=dark)
    name = f"{width}{'-dark' if dark else ''}"
    user.goto("/exports/new?q=&format=transcoded&elements=yes")
    user.check()
    shoot(user, f"export-new-{name}")
    user.page.click("form[method=post] button:has-text('instances')")
    user.page.wait_for_url(re.compile(r"/exports/[0-9a-f-]{36}$"))
    user.check()
    shoot(user, f"export-{name}")
    user.page.click("button:has-text('Pause')")
    user.page.locator("text=Paused by its user").wait_for()
    user.check()
    user.goto("/exports")
    user.check()
    cut_off = "[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth).length"
    assert user.page.evaluate(cut_off) == 0, "a column would have to be looked for"
    shoot(user, f"exports-{name}")


def test_without_scripts(site, browser, log_in) -> None:
    """The form works, the progress page asks to be loaded again, buttons work."""
    user = log_in("rita")
    state = user.page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.goto(site.url + "/exports/new?q=Modality+StrEquals+MR")
    page.select_option("#layout", "flat")
    page.click("button:has-text('Update the preview')")
    assert "layout=flat" in page.url
    page.click("form[method=post] button:has-text('instances')")
    page.wait_for_url(re.compile(r"/exports/[0-9a-f-]{36}$"))
    page.wait_for_selector("meta[http-equiv=refresh]", state="attached")  # the page may be in the middle of a reload
    page.click("button:has-text('Cancel')")
    page.wait_for_selector("main :text('cancelled')")
    context.close()
