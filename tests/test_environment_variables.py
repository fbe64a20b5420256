"""The manual's page of environment variables and the settings classes say the same."""

import importlib.util
import re
from pathlib import Path

import pytest

from common.settings import declared


@pytest.fixture(scope="module")
def page(root):
    spec = importlib.util.spec_from_file_location("environment_variables", root / "doc" / "environment_variables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_settings_say(page):
    assert page.PAGE.read_text() == page.render(), "run make docs"


def test_settings_of_both_services_are_found(page):
    modules = {cls.__module__.split(".")[0] for cls in page.settings_classes()}
    assert modules == {"common", "deidentifier", "website"}


def test_the_environment_is_read_by_settings_alone(root: Path):
    names = {variable for cls in declared() for variable in _variables(cls)}
    stray = {
        f"{file.relative_to(root)}: {name}"
        for folder in ("common", "deidentifier", "website")
        for file in (root / folder).rglob("*.py")
        for name in re.findall(r"(?:environ(?:\.get)?[\[(]|getenv\()\s*[\"'](\w+)[\"']", file.read_text())
        if name not in names
    }
    assert not stray


def _variables(cls):
    return [field.metadata["variable"] for field in cls.__dataclass_fields__.values()]
