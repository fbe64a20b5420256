"""The index of the research archive: which instances there are, and which of them match a query."""

from website.index.document import IndexDocument, InstanceIds, build_document, orthanc_id
from website.index.facets import FacetValue
from website.index.index import Hit, Index
from website.index.pages import Counts, Level, Page, Row

__all__ = [
    "Counts",
    "FacetValue",
    "Hit",
    "Index",
    "IndexDocument",
    "InstanceIds",
    "Level",
    "Page",
    "Row",
    "build_document",
    "orthanc_id",
]
