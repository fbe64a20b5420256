"""The console's pages that show an original: beside its result, or beside what the rules in force make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pydicom
from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from common.errors import InvalidDicomError, NotFoundError
from common.rendering import Picture, render
from deidentifier.console.comparison import Row, compare
from deidentifier.console.gate import administrators_only, note
from deidentifier.console.peers import console, find_task
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.preview import outline

blueprint = Blueprint("originals", __name__)
_LONGEST_SIDE = 1024
_DECIDED = {
    "retry": "The task is queued again.",
    "discard": "The task is discarded: nothing is sent on.",
    "approve": "The task is queued again: its result is sent on despite what was found.",
}


@dataclass(frozen=True)
class Sides:
    """An original and what stands beside it.

    Attributes
    ----------
    title
        Of the other side; empty where there is none.
    reason
        Why there is none, or what holds it back.
    boxes
        For each frame of the original, what the rules in force find or blacken in it: known to a preview alone.
    """

    before: bytes
    after: bytes | None
    title: str
    reason: str = ""
    boxes: Sequence[Sequence[tuple[int, int, int, int]]] = ()


def _sides(row: dict[str, Any]) -> Sides:
    before = console().source.download(row["subject"])
    if request.args.get("preview") == "yes":
        preview = console().previews.make(before)
        held = preview.state in ("quarantined", "failed")
        reason = f"The rules now in force would hold it back: {preview.reason}" if held else preview.reason
        return Sides(before, preview.data, "Preview by the rules now in force", reason, preview.boxes)
    if row["state"] == "done" and row["result"]:
        return Sides(before, console().destination.download(row["result"]), "Result")
    return Sides(before, None, "", "Nothing was sent on.")


@blueprint.get("/tasks/<int:task>/elements")
@administrators_only
def show_elements(task: int) -> ResponseReturnValue:
    """Show both sides, element by element."""
    row = find_task(task)
    sides = _sides(row)
    rows = compare(sides.before, sides.after)
    everything = request.args.get("all") == "yes" or sides.after is None
    lines = rows if everything else [line for line in rows if line.change != "same"]
    return render_template("elements.html", row=row, sides=sides, lines=lines, count=_count(rows), all=everything)


def _count(rows: list[Row]) -> dict[str, int]:
    kinds = ("same", "changed", "removed", "added")
    return {kind: sum(row.change == kind for row in rows) for kind in kinds}


@blueprint.get("/tasks/<int:task>/frames")
@administrators_only
def show_frames(task: int) -> ResponseReturnValue:
    """Show a frame of both sides."""
    row = find_task(task)
    sides = _sides(row)
    frames = count_frames(sides.before)
    frame = min(max(request.args.get("frame", 1, int), 1), max(frames, 1))
    return render_template("frames.html", row=row, sides=sides, frame=frame, frames=frames)


@blueprint.get("/tasks/<int:task>/frames/<side>/<int:frame>.png")
@administrators_only
def show_frame(task: int, side: str, frame: int) -> ResponseReturnValue:
    """Give one frame of one side as a picture."""
    if side not in ("before", "after"):
        abort(404)
    sides = _sides(find_task(task))
    data = sides.before if side == "before" else sides.after
    if data is None:
        raise NotFoundError
    picture = render(BytesIO(data), Picture(frame=frame, size=_LONGEST_SIDE))
    if side == "before" and frame <= len(sides.boxes):
        picture = outline(picture, [Box(*box) for box in sides.boxes[frame - 1]], *size_of(data))
    return Response(picture, mimetype="image/png")


def size_of(data: bytes) -> tuple[int, int]:
    """Return the columns and rows of an image."""
    dataset = pydicom.dcmread(BytesIO(data), force=True, specific_tags=["Rows", "Columns"])
    return int(dataset.Columns), int(dataset.Rows)


def count_frames(data: bytes) -> int:
    """Return how many frames a file has, 0 where it is no image.

    Raises
    ------
    InvalidDicomError
        It cannot be read.
    """
    try:
        dataset = pydicom.dcmread(BytesIO(data), force=True, specific_tags=["Rows", "NumberOfFrames"])
        return max(1, int(dataset.get("NumberOfFrames") or 1)) if "Rows" in dataset else 0
    except (ValueError, EOFError, AttributeError, KeyError, NotImplementedError, TypeError) as exc:
        raise InvalidDicomError("the file cannot be read") from exc


@blueprint.post("/tasks/<int:task>/retry")
@administrators_only
def retry(task: int) -> ResponseReturnValue:
    """Work on the task again, with the rules that are in force then."""
    return _decide("retry", task)


@blueprint.post("/tasks/<int:task>/discard")
@administrators_only
def discard(task: int) -> ResponseReturnValue:
    """Give the task up: nothing is sent on."""
    return _decide("discard", task)


@blueprint.post("/tasks/<int:task>/approve")
@administrators_only
def approve(task: int) -> ResponseReturnValue:
    """Send the result on despite what was found in it."""
    return _decide("approve", task)


def _decide(decision: str, task: int) -> ResponseReturnValue:
    row, queue = find_task(task), console().queue
    note(decision, task=task, state=row["state"], findings=len((row["detail"] or {}).get("findings", ())))
    if {"retry": queue.retry, "discard": queue.discard, "approve": queue.approve}[decision]([task]):
        flash(_DECIDED[decision], "success")
    else:
        flash(f"Nothing was changed: the task is {row['state']}.", "warning")
    return redirect(url_for("views.show_task", task=task), 303)
