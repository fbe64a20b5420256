"""Rebuild the index from the research Orthanc, while both are in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from common.errors import NotFoundError, PermanentError
from common.orthanc import Orthanc
from website.index import Index, IndexDocument
from website.workers.documents import DocumentBuilder

BATCH = 200
"""Instances read together and added in one transaction."""


@dataclass
class Rebuilt:
    """What became of a rebuild; failures by Orthanc's identifier and class of error."""

    indexed: int = 0
    removed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


def rebuild(
    orthanc: Orthanc, index: Index, *, threads: int = 4, progress: Callable[[int], None] = lambda seen: None
) -> Rebuilt:
    """Read every instance of Orthanc, add or replace it in the index, and remove what Orthanc does not hold.

    Searches go on meanwhile: each batch is one transaction. Idempotent.

    Parameters
    ----------
    progress
        Called with the number of instances that were just dealt with.

    Raises
    ------
    TransientError
        Orthanc or the database is away; what was done stays, run it again.
    """
    rebuilt, before = Rebuilt(), set(index.instance_ids())
    builder = DocumentBuilder(orthanc)

    def read(instance: str) -> IndexDocument | None:
        try:
            return builder(instance, builder.download(instance))
        except NotFoundError:
            return None  # deleted since it was listed
        except PermanentError as exc:
            rebuilt.failures.append((instance, exc.code))
            return None

    with ThreadPoolExecutor(threads) as readers:
        for batch in _batches(orthanc.all_instances()):
            documents = [document for document in readers.map(read, batch) if document]
            index.add(documents)
            before -= {document.ids.instance for document in documents}
            rebuilt.indexed += len(documents)
            progress(len(batch))
    # What was in the index before and was not met: deleted, or unreadable now, so no longer true either way.
    left = sorted(before)
    for at in range(0, len(left), BATCH):
        index.remove(left[at : at + BATCH])
    rebuilt.removed = len(left)
    return rebuilt


def _batches(instances: Iterator[str]) -> Iterator[list[str]]:
    """Cut identifiers into batches; those that Orthanc's pages repeat come once in each batch."""
    while batch := list(dict.fromkeys(islice(instances, BATCH))):
        yield batch
