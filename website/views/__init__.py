"""The portal's pages. A view reads the request, calls one function, renders."""

from __future__ import annotations

from flask import Blueprint


def blueprints() -> tuple[Blueprint, ...]:
    """Return every blueprint of the portal: the one place where pages are registered."""
    from website.views import audit, health, login, orthanc, sessions, tokens, users

    modules = (audit, health, login, orthanc, sessions, tokens, users)
    return tuple(module.blueprint for module in modules)
