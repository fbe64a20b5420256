"""Take the manual's screenshots of the running platform, on the demo's samples: ``make screenshots``."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from demo.__main__ import Progress, account  # noqa: E402  # the repository is no installed package
from demo.leftovers import sole_demo  # noqa: E402
from demo.platform import RESEARCHER, Platform  # noqa: E402


def main() -> None:
    """Run the platform in a folder of its own, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, sole_demo(Path(folder)), Platform(Path(folder), print) as platform:
        account(platform, Progress(Console(file=io.StringIO())))
        take(platform)


def take(platform: Platform) -> None:
    """Log in as a researcher and take each picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{platform.portal_url}/login")
        page.fill("input[name=name]", RESEARCHER)
        page.fill("input[name=password]", platform.state.researcher_password)
        page.click("main button[type=submit]")
        page.fill("#q", "Modality StrEquals MR")
        page.press("#q", "Enter")
        page.wait_for_url("**/search?**")
        page.wait_for_load_state("networkidle")
        page.keyboard.press("Escape")
        page.screenshot(path=FOLDER / "search.png")
        page.locator("main a[href*='/studies/']").first.click()
        page.locator("main a[href*='/series/']").first.click()
        page.locator("main a[href*='/instances/']").first.click()
        page.wait_for_function("[...document.querySelectorAll('main img')].some(image => image.naturalWidth > 1)")
        page.screenshot(path=FOLDER / "instance.png")
        browser.close()


if __name__ == "__main__":
    main()
