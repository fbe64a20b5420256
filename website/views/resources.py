"""The pages of a study, a series and an instance, and their elements as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request, url_for

from common.errors import NotFoundError
from website.audit_requests import AccessRecord
from website.catalogue import Level, elements_json
from website.context import current_access, current_catalogue, services
from website.element_json import stream_dicom_json
from website.element_tree import build_tree, value_of
from website.guard import requires
from website.viewer import describe_image
from website.views.answers import DICOM_JSON, elements_answer, wants_dicom_json

blueprint = Blueprint("resources", __name__)

STUDY_FACTS = ("PatientID", "PatientSex", "StudyDate", "StudyDescription", "AccessionNumber", "StudyInstanceUID")
SERIES_FACTS = (
    "Modality",
    "BodyPartExamined",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "Manufacturer",
    "ManufacturerModelName",
    "SeriesInstanceUID",
)


@blueprint.get("/studies/<orthanc:study_id>")
@requires("see")
def show_study(study_id: str) -> str:
    """Show a study: what is known of it, and those of its series that the user may see something of."""
    # What is the same in the whole study stands above its series, in their own order.
    given = current_catalogue().columns("series")
    columns = ("SeriesNumber", *(name for name in given if name not in (*STUDY_FACTS, "SeriesNumber")))
    page = _members_page("study", study_id, "series", columns, sort="SeriesNumber")
    return render_template("study.html", **page, facts=STUDY_FACTS)


@blueprint.get("/series/<orthanc:series_id>")
@requires("see")
def show_series(series_id: str) -> str:
    """Show a series: what is known of it, and its permitted instances as thumbnails."""
    page = _members_page("series", series_id, "instance", current_catalogue().columns("instance"))
    return render_template("series.html", **page, series_id=series_id, facts=SERIES_FACTS)


def _members_page(
    level: Level, identifier: str, members: Level, columns: Sequence[str], *, sort: str = ""
) -> dict[str, Any]:
    """Collect what a study or series page shows; nothing permitted in it is as if it were not there."""
    catalogue, limit = current_catalogue(), services().settings.results_per_page
    see, place, after = current_access().see, (level, identifier), request.args.get("after", "")
    counts, found = catalogue.search(see, members, sort=sort, after=after, limit=limit, columns=columns, within=place)
    if not counts["instances"]:
        raise NotFoundError
    AccessRecord.current().note(counts=counts)
    shown = catalogue.first_document(see, place)
    return {
        "access": current_access(),
        "counts": counts,
        "rows": found.rows,
        "next": found.next,
        "columns": columns,
        "study_id": shown.ids.study,
        "values": _Values(elements_json(shown)),
    }


@blueprint.get("/instances/<orthanc:instance_id>")
@requires("see", costly=True)
def show_instance(instance_id: str) -> str:
    """Show an instance: its frames and its elements."""
    found = current_catalogue().permitted_document(instance_id, current_access().see)
    document = elements_json(found)
    image = describe_image(document, request.args)
    window: dict[str, Any] = {"center": image.center, "width": image.width} if image.asked else {}
    frame_url = url_for("frames.show_frame", instance_id=instance_id, frame=image.frame, format="jpeg", **window)
    return render_template(
        "instance.html",
        access=current_access(),
        values=_Values(document),
        tree=build_tree(document),
        instance_id=instance_id,
        study_id=found.ids.study,
        series_id=found.ids.series,
        image=image,
        frame_url=frame_url,
    )


@blueprint.get("/instances/<orthanc:instance_id>.json")
@requires("see", costly=True)
def instance_json(instance_id: str) -> Response:
    """Give the element document of an instance; DICOM JSON on request."""
    found = current_catalogue().permitted_document(instance_id, current_access().see)
    if wants_dicom_json():
        return Response(stream_dicom_json([(1, found)]), mimetype=DICOM_JSON)
    return jsonify(elements_json(found))


@blueprint.get("/series/<orthanc:series_id>.json")
@requires("see", costly=True)
def series_json(series_id: str) -> Response:
    """Stream the elements of the permitted instances of a series."""
    return _stream("series", series_id)


@blueprint.get("/studies/<orthanc:study_id>.json")
@requires("see", costly=True)
def study_json(study_id: str) -> Response:
    """Stream the elements of the permitted instances of a study."""
    return _stream("study", study_id)


def _stream(level: Level, identifier: str) -> Response:
    catalogue = current_catalogue()
    permitted = catalogue.within(level, identifier, current_access().see)
    counts = catalogue.count(permitted)
    if not counts["instances"]:
        raise NotFoundError
    AccessRecord.current().note(counts=counts)
    return elements_answer(catalogue.documents(permitted))


class _Values:
    """The first values of a document by keyword, for templates; empty where there is none."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def __getitem__(self, keyword: str) -> str:
        return value_of(self._document, keyword)
