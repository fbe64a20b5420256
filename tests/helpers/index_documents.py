"""Documents for the index, made of tables of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.dicom_elements import Element
from common.query.texts import clean
from common.tags import parse_tag_path
from website.index import IndexDocument, InstanceIds, orthanc_id
from website.index.document import document_of, format_path


def make_document(
    instance: str, texts: Mapping[str, Sequence[str]], *, series: str = "1", study: str = "1", patient: str = "1"
) -> IndexDocument:
    """Make a document of path → texts; a path into a sequence makes one item."""
    ids = InstanceIds(*map(orthanc_id, (f"i{instance}", f"s{series}", f"t{study}", f"p{patient}")))
    tree: dict[int, object] = {}
    for name, values in texts.items():
        *above, tag = parse_tag_path(name)
        level = tree
        for sequence in above:
            level = level.setdefault(sequence, {})  # type: ignore[assignment]
        level.setdefault(tag, tuple(values))
    return document_of(ids, _elements(tree))


def _elements(tree: Mapping[int, object]) -> tuple[Element, ...]:
    return tuple(
        Element(tag, "SQ", items=(_elements(found),)) if isinstance(found, dict) else Element(tag, "LO", found)
        for tag, found in sorted(tree.items())
    )


def flat_document(instance: str, texts: Mapping[str, Sequence[str]], *, series: str = "1") -> IndexDocument:
    """Make a document of path → texts as they are, whether or not a data set could have them."""
    ids = InstanceIds(*map(orthanc_id, (f"i{instance}", f"s{series}", "t1", "p1")))
    return IndexDocument(
        ids, {format_path(parse_tag_path(name)): tuple(map(clean, t)) for name, t in texts.items()}, "[]"
    )
