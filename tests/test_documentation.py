"""The manual is true: its links lead somewhere, its commands exist."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    file.relative_to(ROOT)
    for file in [*ROOT.glob("*.md"), *(ROOT / "doc").rglob("*.md"), *(ROOT / "image").rglob("*.md")]
)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    broken = [
        link
        for link in links
        if not re.match(r"[a-z]+:|#", link) and not (ROOT / page.parent / link.split("#")[0]).exists()
    ]
    assert not broken


def test_every_page_can_be_reached():
    linked = {Path("README.md"), Path("CONTRIBUTING.md"), Path("doc/README.md")}
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s#]+)", (ROOT / page).read_text()):
            target = (ROOT / page.parent / link).resolve()
            if target.is_relative_to(ROOT):
                linked.add(target.relative_to(ROOT))
    # A page of a section whose index is the folder's listing is reached by the folder.
    unreached = [page for page in PAGES if page not in linked and page.parent not in linked]
    assert all(page.parent.parent == Path("doc") for page in unreached), unreached


def test_make_targets_of_the_manual_exist():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = {line.split()[0] for line in listed.splitlines() if line.strip()}
    named = {
        name for page in PAGES for name in re.findall(r"(?:`|^|=1 )make ([a-z-]+)", (ROOT / page).read_text(), re.M)
    }
    assert named
    assert named <= targets
