"""How values are shown: filters of the templates, and what every page's menus hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, current_app, request, url_for

from website.context import current_access, services

blueprint = Blueprint("formats", __name__)


@dataclass(frozen=True)
class Link:
    """One entry of a menu."""

    label: str
    url: str
    current: bool = False


# Endpoint, label, and what a user must be allowed to do to see the entry; parts that are not there are left out.
_MAIN = (
    ("search.show_search", "Search", "see"),
    ("exports.show_exports", "Exports", "export"),
    ("status.show_status", "Ingest", "admin"),
    ("audit.show_audit", "Audit", "admin"),
    ("users.show_users", "Users", "admin"),
    ("help.show_help", "Help", "login"),
)
_ACCOUNT = (
    ("permissions.show_permissions", "Your permissions", "login"),
    ("searches.show_searches", "Your searches", "see"),
    ("tokens.show_tokens", "API tokens", "download"),
    ("links.show_links", "Links", "see"),
    ("links.show_programs", "Python, Slicer, Weasis", "download"),
    ("sessions.show_sessions", "Sessions", "login"),
)
# Places that take a study or a series further: endpoint, label, kind of resource, what a user must be allowed to do.
_RESOURCE = (
    ("viewer.open_study", "Open in viewer", "study", "download"),
    ("viewer.open_series", "Open in viewer", "series", "download"),
    ("links.show_study", "Share …", "study", "see"),
    ("links.show_series", "Share …", "series", "see"),
)
_RESULT = (("exports.new_export", "Export …", "export"),)


def _links(entries: tuple[tuple[str, str, str], ...]) -> Iterator[Link]:
    access = current_access()
    for endpoint, label, action in entries:
        if endpoint in current_app.view_functions and access.may(action):
            yield Link(label, url_for(endpoint), request.endpoint == endpoint)


def _resource_links(kind: str, identifier: str) -> list[Link]:
    named: dict[str, Any] = {f"{kind}_id": identifier}
    return [
        Link(label, url_for(endpoint, **named))
        for endpoint, label, wanted, action in _RESOURCE
        if wanted == kind and endpoint in current_app.view_functions and current_access().may(action)
        # A button that leads to nothing but "no viewer is installed" helps nobody.
        if not endpoint.startswith("viewer.") or services().viewer.installed
    ]


def _result_links(query: str) -> list[Link]:
    return [
        Link(label, url_for(endpoint, q=query))
        for endpoint, label, action in _RESULT
        if endpoint in current_app.view_functions and current_access().may(action)
    ]


@blueprint.app_context_processor
def menus() -> dict[str, object]:
    """Give every template the menus."""
    return {
        "navigation": lambda: list(_links(_MAIN)),
        "account_links": lambda: list(_links(_ACCOUNT)),
        "resource_links": _resource_links,
        "result_links": _result_links,
    }


@blueprint.app_template_filter()
def dicom_date(value: str | None) -> str:
    """Show a DICOM date as ``2024-01-31``; anything else as it is."""
    text = value or ""
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if re.fullmatch(r"\d{8}", text) else text


@blueprint.app_template_filter()
def dicom_value(value: object, keyword: str) -> str:
    """Show the value of an element: dates readable, several values apart."""
    if isinstance(value, (list, tuple)):
        return ", ".join(dicom_value(each, keyword) for each in value)
    text = "" if value is None else str(value)
    return dicom_date(text) if keyword.endswith("Date") else text


@blueprint.app_template_filter()
def words(keyword: str) -> str:
    """Write a keyword as words: ``SeriesDescription`` as ``Series Description``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", keyword)
