"""The portal in a thread, on real servers, and browsers that are logged in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from common.auth.passwords import hash_password
from common.orthanc import Orthanc
from common.storage import Storage
from demo.servers.process import free_port
from tests.helpers.research_store import ResearchStore, mixed_files
from website.app import create_app
from website.context import Services
from website.index import Index
from website.settings import load_settings

PASSWORD = "correct horse battery"
GROUPS = {"rita": "researchers", "carl": "ct", "vera": "viewers", "ada": "admin", "nemo": "nobody"}
PERMISSIONS = """
Profiles:
  Everything: {Description: Every instance, Destinations: shelf}
  CtOnly: {Description: Computed tomography, DICOMQueryFilter: Modality StrEquals CT}
  View: {Description: Look only, Download: false, Export: false}
  Admin: {Description: Everything, Admin: true, OrthancPathPatterns: {Allow: ANY **}}
Permissions:
  - {Groups: researchers, Profiles: Everything}
  - {Groups: ct, Profiles: CtOnly}
  - {Groups: viewers, Profiles: View}
  - {Groups: admin, Profiles: Admin}
"""
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
VIOLATIONS = (
    "axe.run(document, %s).then("
    "r => r.violations.map(v => `${v.impact} ${v.id}: ${v.nodes.map(n => n.target).join(', ')}`))"
)

# Words of a table or a button that are written on more than one line though they are short.
BROKEN_WORDS = """() => [...document.querySelectorAll('th, td, td a, td time, td span, .btn')].filter((cell) =>
  !cell.closest('.long')).flatMap((cell) =>
  [...cell.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).flatMap((node) =>
    [...node.data.matchAll(/[\\w.:]+/g)].filter((word) => word[0].length < 14).filter((word) => {
      const range = document.createRange();
      range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
      return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1;
    }).map((word) => word[0])))"""

# Whether nothing has the focus, and what has it without showing so.
OUTLINE = """() => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  const seen = outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2;
  return [document.activeElement === document.body, seen ? '' : document.activeElement.outerHTML.slice(0, 120)];
}"""


def without_outline(page: Page) -> list[str]:
    """Return the elements of a page that a keyboard reaches and that do not show it."""
    found = []
    for _ in range(80):
        page.keyboard.press("Tab")
        nowhere, unseen = page.evaluate(OUTLINE)
        if nowhere:
            break
        found += [unseen] if unseen else []
    return found


@dataclass
class Site:
    """A running portal with a store behind it."""

    url: str
    store: ResearchStore
    services: Services
    environ: dict[str, str]


@pytest.fixture
def site(research_database, research_orthanc, s3, tmp_path) -> Iterator[Site]:
    """Give a portal with the mixed store."""
    port = free_port()
    (tmp_path / "permissions.yaml").write_text(PERMISSIONS)
    hashed = hash_password(PASSWORD)
    users = "".join(
        f"  {user}: {{groups: [{group}], password: {hashed}, disabled: false}}\n" for user, group in GROUPS.items()
    )
    (tmp_path / "accounts.yaml").write_text("users:\n" + users)
    environ = {
        **research_database.environ("rpacs_website"),
        "RPACS_ORTHANC_HOSTNAME": research_orthanc.url,
        "RPACS_ORTHANC_USERNAME": research_orthanc.auth[0],
        "RPACS_ORTHANC_PASSWORD": research_orthanc.auth[1],
        "RPACS_PERMISSIONS_FILE": str(tmp_path / "permissions.yaml"),
        "RPACS_AUTHENTICATION": "local",
        "RPACS_ACCOUNTS_FILE": str(tmp_path / "accounts.yaml"),
        "RPACS_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RPACS_SECRET_KEY": "s" * 32,
        "RPACS_AUDIT_KEY": "a" * 32,
        "RPACS_LOG_FILE": str(tmp_path / "access.log"),
        "RPACS_EXPORT_KEY": "e" * 32,
        "RPACS_EXPORT_ENDPOINTS": s3.server.url,
        "RPACS_EXPORT_DESTINATIONS_FILE": str(tmp_path / "destinations.yaml"),
    }
    (tmp_path / "destinations.yaml").write_text(
        f"Destinations:\n  shelf: {{Description: The group's bucket, Bucket: {s3.name}, Endpoint: '{s3.server.url}'}}\n"
    )
    app = create_app(load_settings(environ), storage=Storage())
    services = app.extensions["research_pacs"]
    store = ResearchStore(Orthanc(research_orthanc.url, *research_orthanc.auth), Index(services.database))
    store.add(*mixed_files())
    server = make_server("127.0.0.1", port, app, threaded=True)
    server.daemon_threads = False  # closing waits for the answers that a viewer asked for last
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(f"http://127.0.0.1:{port}", store, services, environ)
    server.shutdown()
    thread.join()
    server.server_close()
    services.minutes.close()
    services.audit.close()
    services.access_log.close()
    services.database.close()


@dataclass
class User:
    """A browser tab of somebody who is logged in; remembers what went wrong in it."""

    page: Page
    site: Site
    complaints: list[str] = field(default_factory=list)

    def goto(self, path: str) -> Any:
        """Open a page of the portal and wait until nothing is loading."""
        response = self.page.goto(self.site.url + path)
        self.page.wait_for_load_state("networkidle")
        return response

    def wait_until(self, script: str) -> None:
        """Wait until a script says true (the portal's policy forbids what ``wait_for_function`` does)."""
        deadline = time.monotonic() + 15
        while not self.page.evaluate(script):
            assert time.monotonic() < deadline, script
            self.page.wait_for_timeout(50)

    def check(self, only: str = "") -> None:
        """Hold the page to what every page must be: no serious violation for axe-core, nothing too wide."""
        self.page.evaluate(AXE)
        rules = f"{{runOnly: ['{only}']}}" if only else "{}"
        serious = [each for each in self.page.evaluate(VIOLATIONS % rules) if each.startswith(("serious", "critical"))]
        assert serious == [], self.page.url
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(wider) <= 0


@pytest.fixture
def log_in(site, browser: Browser) -> Iterator[Callable[..., User]]:
    """Give a function that logs a user in by the form; at the end nothing may have been complained about."""
    users: list[User] = []

    def make(name: str, *, width: int = 1280, dark: bool = False) -> User:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(15_000)
        user = User(context.new_page(), site)
        user.page.on("console", lambda message: _listen(user, message.type, message.text))
        user.page.on("pageerror", lambda error: user.complaints.append(str(error)))
        user.goto("/login")
        user.page.fill("#name", name)
        user.page.fill("#password", PASSWORD)
        user.page.click("main button[type=submit]")
        user.page.wait_for_url(site.url + "/")
        users.append(user)
        return user

    yield make
    for user in users:
        user.page.context.close()
        assert user.complaints == []


def _listen(user: User, kind: str, text: str) -> None:
    # Chromium writes an "error" for every answer of 4xx, also where that is the right answer.
    if kind in ("error", "warning") and not text.startswith("Failed to load resource: the server responded with"):
        user.complaints.append(text)
