"""Orthanc's identifiers in addresses: nothing else reaches a view, let alone Orthanc."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import BaseConverter


class OrthancIdConverter(BaseConverter):
    """``<orthanc:instance_id>``: five groups of eight hexadecimal digits (Orthanc Book, "Orthanc identifiers")."""

    regex = "[0-9a-f]{8}(?:-[0-9a-f]{8}){4}"


class UidConverter(BaseConverter):
    """``<uid:study_uid>``: a UID (PS3.5 9.1), without its finer rules, which old devices break."""

    regex = "[0-9.]{1,64}"


def install_converters(app: Flask) -> None:
    """Make the converter known; before blueprints are registered."""
    app.url_map.converters["orthanc"] = OrthancIdConverter
    app.url_map.converters["uid"] = UidConverter
