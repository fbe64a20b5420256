"""The arrows between the packages: both services may import ``common``; nothing else of ours points anywhere."""

import ast
from pathlib import Path

import pytest

OURS = {"common", "deidentifier", "website", "orthanc", "demo", "tests", "bench"}
MAY_IMPORT = {"common": {"common"}, "deidentifier": {"common", "deidentifier"}, "website": {"common", "website"}}


def imported_packages(source: str, package: list[str]) -> set[str]:
    """Return the top-level packages that a module imports, wherever in it; relative imports are resolved."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else []
            found.add([*parts, *(node.module or "").split(".")][0])
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            found |= {text.value.split(".")[0] for text in node.args if isinstance(getattr(text, "value", None), str)}
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str, root: Path):
    wrong = {
        f"{file.relative_to(root)} imports {name}"
        for file in (root / package).rglob("*.py")
        for name in imported_packages(file.read_text(), list(file.relative_to(root).parts[:-1])) & OURS
        if name not in MAY_IMPORT[package]
    }
    assert not wrong


@pytest.mark.parametrize(
    ("package", "source", "expected"),
    [
        ("common", "import website.app", {"website"}),
        ("common", "def f():\n    from website import app", {"website"}),
        ("common", "from ..website import app", {"website"}),
        ("common.query", "from .. import tags", {"common"}),
        ("common", "importlib.import_module('website.app')", {"website"}),
    ],
)
def test_hidden_imports_are_seen_too(package: str, source: str, expected: set[str]):
    assert imported_packages(source, package.split(".")) == expected
