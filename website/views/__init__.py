"""The portal's pages. A view reads the request, calls one function, renders."""

from __future__ import annotations

from flask import Blueprint


def blueprints() -> tuple[Blueprint, ...]:
    """Return every blueprint of the portal: the one place where pages are registered."""
    from website.views import (
        audit,
        dicomweb,
        dicomweb_images,
        dicomweb_store,
        downloads,
        exports,
        formats,
        frames,
        health,
        help,
        home,
        links,
        login,
        orthanc,
        permissions,
        resources,
        search,
        searches,
        sessions,
        status,
        tokens,
        users,
        viewer,
    )

    shown = (home, search, searches, resources, frames, downloads, permissions, help, status, formats)
    programs = (dicomweb, dicomweb_images, dicomweb_store)
    modules = (*programs, viewer, links, audit, exports, health, login, orthanc, sessions, tokens, users, *shown)
    return tuple(module.blueprint for module in modules)
