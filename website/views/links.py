"""Links to a study or series: made, shown once, listed, revoked; what others shared; how other programs are used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from common.errors import NotFoundError, RefusedError
from common.tags import parse_tag
from website.audit_requests import AccessRecord
from website.catalogue import Level
from website.context import current_access, current_catalogue, services
from website.dicomweb.answers import current_root
from website.guard import purpose_of_use, requires
from website.links import MAX_LINKS, Link
from website.views.viewer import viewer_address

blueprint = Blueprint("links", __name__)
DEFAULT_HOURS = 24


@blueprint.get("/links")
@requires("login")
def show_links() -> str:
    """List the user's links."""
    links = services().links.table.list(current_access().user)
    return render_template("links.html", links=links, access=current_access())


@blueprint.post("/links/<uuid:link_id>/revoke")
@requires("login")
def revoke_link(link_id: UUID) -> ResponseReturnValue:
    """End one of the user's links."""
    services().links.table.revoke(str(link_id), current_access().user)
    return redirect("/links", 303)


@blueprint.get("/studies/<orthanc:study_id>/links")
@requires("see", interactive=True)
def show_study(study_id: str) -> str:
    """Show the forms for links to a study."""
    return _page("study", study_id)


@blueprint.get("/series/<orthanc:series_id>/links")
@requires("see", interactive=True)
def show_series(series_id: str) -> str:
    """Show the form for links to a series."""
    return _page("series", series_id)


@blueprint.post("/studies/<orthanc:study_id>/links")
@requires("see", interactive=True)
def share_study(study_id: str) -> ResponseReturnValue:
    """Share a study with another user."""
    return _share("study", study_id)


@blueprint.post("/series/<orthanc:series_id>/links")
@requires("see", interactive=True)
def share_series(series_id: str) -> ResponseReturnValue:
    """Share a series with another user."""
    return _share("series", series_id)


# As an API token: who may not have one gets no link that carries one.
@blueprint.post("/studies/<orthanc:study_id>/viewer-link")
@requires("download", interactive=True)
def make_viewer_link(study_id: str) -> ResponseReturnValue:
    """Make a link to a study for a viewer that cannot send headers; its token is in this answer and nowhere else."""
    study_uid = _first_uid("study", study_id, "StudyInstanceUID", download=True)
    try:
        given = _read_form()
    except ValueError as exc:
        return _page("study", study_id, error=str(exc)), 400
    token, link = services().links.table.make_viewer(
        current_access().user, resource=study_id, purpose=purpose_of_use(), **given
    )
    AccessRecord.current().note(made=link.id, scope=["viewer link"])
    root = f"{current_root()}/links/{token}"
    command = f'$dicom:rs --url "{root}" -r "studyUID={study_uid}"'
    return _page("study", study_id, root=root, study_uid=study_uid, weasis=f"weasis://{quote(command, safe='')}")


@blueprint.get("/shares/<uuid:share_id>")
@requires("see", interactive=True)
def show_share(share_id: UUID) -> str:
    """Show what somebody shared: of it, what both may see."""
    link, access = services().links.open_share(str(share_id), current_access())
    catalogue = current_catalogue()
    found = catalogue.page(access.see, "series", limit=services().settings.results_per_page)
    counts = catalogue.count(access.see)
    if not counts["instances"]:
        raise NotFoundError
    AccessRecord.current().note(counts=counts, objects=[link.resource], share=link.id)
    document = catalogue.first_document(access.see)
    uids = document.values((parse_tag("StudyInstanceUID"),)) or [""]
    return render_template(
        "share.html",
        access=access,
        link=link,
        rows=found.rows,
        counts=counts,
        columns=catalogue.columns("series"),
        study_id=document.ids.study,
        series_id=document.ids.series,
        viewer_url=viewer_address([uids[0]], share=link.id) if services().viewer.installed else "",
    )


@blueprint.get("/help/dicomweb")
@requires("download", interactive=True)
def show_programs() -> str:
    """Show how Python, 3D Slicer, Weasis and others read what the user may."""
    return render_template("dicomweb.html", access=current_access(), root=current_root())


def _share(level: Level, identifier: str) -> ResponseReturnValue:
    _permit(level, identifier)
    recipient = " ".join(request.form.get("recipient", "").split()) or None
    try:
        given = _read_form()
        if recipient is not None and len(recipient) > 200:
            raise ValueError("a user name has at most 200 characters")
    except ValueError as exc:
        return _page(level, identifier, error=str(exc)), 400
    link = services().links.table.make_share(
        current_access().user, level=level, resource=identifier, recipient=recipient, **given
    )
    AccessRecord.current().note(made=link.id, scope=["share"], recipient=recipient)
    return _page(level, identifier, share=link)


def _read_form() -> dict[str, Any]:
    """Read what both forms have; refuses a user who has too many links."""
    label = " ".join(request.form.get("label", "").split())
    if not 1 <= len(label) <= 100:
        raise ValueError("say in 1 to 100 characters what the link is for")
    hours, longest = request.form.get("hours", type=int), services().settings.link_max_hours
    if hours is None or not 1 <= hours <= longest:
        raise ValueError(f"a link lives for 1 to {longest} hours")
    if len(services().links.table.list(current_access().user)) >= MAX_LINKS:
        raise RefusedError(f"nobody has more than {MAX_LINKS} links: revoke one first")
    return {"label": label, "lifetime": timedelta(hours=hours)}


def _permit(level: Level, identifier: str) -> None:
    """Raise ``NotFoundError`` where the user may see nothing of a study or series."""
    catalogue = current_catalogue()
    if not catalogue.count(catalogue.within(level, identifier, current_access().see))["instances"]:
        raise NotFoundError


def _first_uid(level: Level, identifier: str, keyword: str, *, download: bool) -> str:
    access, catalogue = current_access(), current_catalogue()
    node = catalogue.within(level, identifier, access.download if download else access.see)
    return (catalogue.first_document(node).values((parse_tag(keyword),)) or [""])[0]


def _page(level: Level, identifier: str, *, error: str = "", share: Link | None = None, **shown: str) -> str:
    _permit(level, identifier)
    service, access = services(), current_access()
    links = [each for each in service.links.table.list(access.user) if each.resource == identifier]
    base = current_root().removesuffix("/dicom-web")
    return render_template(
        "share_form.html",
        access=access,
        level=level,
        identifier=identifier,
        links=links,
        error=error,
        share_url=f"{base}/shares/{share.id}" if share else "",
        hours=min(DEFAULT_HOURS, service.settings.link_max_hours),
        max_hours=service.settings.link_max_hours,
        **{"root": "", "study_uid": "", "weasis": "", **shown},
    )
