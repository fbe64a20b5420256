"""Which labels an instance carries: matched in memory, on the original's elements."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from common.query import compile_match
from common.query.match import Source
from deidentifier.rules import ALL, Label

_predicate = lru_cache(maxsize=4096)(compile_match)


def match_labels(labels: Iterable[Label], source: Source) -> frozenset[str]:
    """Return ``ALL`` and the name of each label whose query matches.

    Parameters
    ----------
    labels
        The rules' labels.
    source
        Anything with ``values(path) -> list[str] | None``: the scan of the original.
    """
    return frozenset({ALL, *(label.name for label in labels if _predicate(label.node)(source))})
