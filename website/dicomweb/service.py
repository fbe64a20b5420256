"""What one process of the portal holds for DICOMweb."""

from __future__ import annotations

from dataclasses import dataclass

from common.database import Database
from common.orthanc import Orthanc
from website.catalogue import Catalogue
from website.dicomweb.frames import Frames
from website.dicomweb.members import MemberFinder
from website.dicomweb.metadata import Metadata
from website.dicomweb.search import Searcher
from website.dicomweb.store import Store
from website.dicomweb.summaries import Summaries
from website.index import Index


@dataclass(frozen=True)
class DicomWeb:
    """The parts of DICOMweb; each takes the query tree of an access where it looks for anything."""

    finder: MemberFinder
    searcher: Searcher
    metadata: Metadata
    frames: Frames
    store: Store

    @classmethod
    def make(cls, database: Database, index: Index, catalogue: Catalogue, orthanc: Orthanc) -> DicomWeb:
        """Make all of it."""
        return cls(
            MemberFinder(database),
            Searcher(index, catalogue, Summaries(database)),
            Metadata(orthanc),
            Frames(orthanc),
            Store(orthanc),
        )
