"""Write ``doc/environment-variables.md`` from the settings classes: ``make docs``."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("environment-variables.md")
PACKAGES = ("common", "deidentifier", "website")

HEAD = """\
# Environment variables

Every process is configured by environment variables alone, read once at its start. What is missing or malformed is
reported all at once, by name, before anything connects; the exit code is then 2.

* A switch is `yes` or `no`, any case. An `…_ORTHANC_HOSTNAME` is a base URL, `http(s)://host[:port]`.
* A location is a path or `s3://bucket/key`.
* A secret may be given as a file: `NAME_FILE=/run/secrets/x` stands for `NAME`. Secrets are never logged.
* The variables of *Research PACS on AWS* 1.0 keep their meaning, but for `RPACS_SQS_*`: the message queue is gone, and
  these are ignored with one warning.

This page is made from the settings classes by `make docs`, and a test holds it to them.
"""


def settings_classes() -> list[type]:
    """Return every class of settings, after importing all modules of the product, bases first."""
    from common import settings

    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith(("__main__", "wsgi")):
                importlib.import_module(module.name)
    ours = [cls for cls in settings.declared() if cls.__module__.split(".")[0] in PACKAGES]
    return sorted(ours, key=lambda cls: (PACKAGES.index(cls.__module__.split(".")[0]), len(cls.__mro__), _name(cls)))


def render() -> str:
    """Return the page."""
    sections = [HEAD]
    for cls in settings_classes():
        own = [field for field in dataclasses.fields(cls) if field.name in inspect.get_annotations(cls)]
        if own:
            sections.append(_section(_title(cls), f"`{_name(cls)}`", map(_field_row, own)))
    sections.append(_section("The Orthanc image", "`orthanc/variables.py`", map(_variable_row, _image_variables())))
    return "\n".join(sections)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _title(cls: type) -> str:
    return (cls.__doc__ or cls.__name__).strip().split("\n")[0].rstrip(".")


def _section(title: str, where: str, rows: Iterable[str]) -> str:
    return "\n".join(
        [f"## {title}", "", f"Declared in {where}.", "", "| variable | default | |", "|---|---|---|", *rows, ""]
    )


def _field_row(field: dataclasses.Field[Any]) -> str:
    default = "mandatory" if field.default is dataclasses.MISSING else _show(field.default)
    secret = " A secret." if field.metadata["secret"] else ""
    return f"| `{field.metadata['variable']}` | {default} | {field.metadata['help']}{secret} |"


def _image_variables() -> tuple[Any, ...]:
    sys.path.insert(0, str(ROOT / "orthanc"))  # a program of its own: its modules are no package
    try:
        return tuple(importlib.import_module("variables").VARIABLES)
    finally:
        sys.path.pop(0)


def _variable_row(variable: Any) -> str:
    default = "mandatory" if variable.mandatory else _show(variable.default)
    return f"| `{variable.name}` | {default} | {variable.help} |"


def _show(default: object) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    text = str(default if default is not None else "").replace(f"{ROOT}/", "")
    return f"`{text}`" if text else "–"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(render())
