"""The arrows between the packages: both services may import ``common``; nothing else of ours points anywhere."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
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


def imported_modules(file: Path, root: Path) -> set[str]:
    """Return the dotted names that a module imports; ``from a import b`` gives both ``a`` and ``a.b``."""
    package = list(file.relative_to(root).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*parts, *filter(None, [node.module])])
            found |= {name} | {f"{name}.{alias.name}" for alias in node.names}
    return found


def canonical(name: str) -> str:
    """Return a distribution's name as the lock files write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def reachable(package: str, root: Path) -> set[str]:
    """Return every top-level package that a service imports, its own modules followed into ``common``."""
    waiting = list((root / package).rglob("*.py"))
    seen, found = set(waiting), set()
    while waiting:
        for name in imported_modules(waiting.pop(), root):
            found.add(name.split(".")[0])
            path = root.joinpath(*name.split("."))
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if name.split(".")[0] in OURS and file.exists() and file not in seen:
                    seen.add(file)
                    waiting.append(file)
    return found


@pytest.mark.parametrize(
    ("package", "locks"), [("deidentifier", ["deidentifier", "ocr", "ner"]), ("website", ["website"])]
)
def test_an_image_installs_all_that_its_service_imports(package: str, locks: list[str], root: Path):
    text = "".join((root / "requirements" / f"{lock}.lock").read_text() for lock in locks)
    locked = {canonical(line.split("==")[0]) for line in text.splitlines() if "==" in line and line[0].isalnum()}
    distributions = packages_distributions()
    missing = {
        name
        for name in reachable(package, root) - OURS - sys.stdlib_module_names
        if not name.startswith("types_")  # stubs are for the type checker alone
        and not locked & {canonical(each) for each in distributions.get(name, [])}
    }
    assert not missing
