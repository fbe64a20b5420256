"""The DICOM instance query language: one grammar, one tree, two meanings.

``parse`` makes the tree; ``match`` is its meaning in memory; the website's index holds its meaning in SQL. Trees are
combined with ``all_of`` and ``any_of``, never as text.
"""

from common.query.match import Source, compile_match, match
from common.query.parser import parse
from common.query.tree import EVERYTHING, NOTHING, And, Condition, Node, Not, Or, all_of, any_of, conditions
from common.query.write import describe, format_query

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "And",
    "Condition",
    "Node",
    "Not",
    "Or",
    "Source",
    "all_of",
    "any_of",
    "compile_match",
    "conditions",
    "describe",
    "format_query",
    "match",
    "parse",
]
