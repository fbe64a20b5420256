"""Answers of the index that hold until it changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

Answer = TypeVar("Answer")

MAX_ANSWERS = 500
"""Answers that a process remembers; one is some kilobytes."""


class ResultCache:
    """Remembers answers by question and by the generation of the index that they were read from.

    A question holds the whole query tree with the permissions of who asks, so nobody is given another's answer. The
    generation is read before the answer: an answer can be newer than it says, never older.

    Parameters
    ----------
    generation
        Reads the number that every change of the index raises.
    """

    def __init__(self, generation: Callable[[], int]) -> None:
        self._generation = generation
        self._answers: OrderedDict[Hashable, tuple[int, object]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, question: Hashable, make: Callable[[], Answer]) -> Answer:
        """Return the remembered answer if the index has not changed, else make it."""
        now = self._generation()
        found = self._find(question, now)
        if found is not None:
            return cast(Answer, found[1])
        answer = make()
        with self._lock:
            self._answers[question] = (now, answer)
            while len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
        return answer

    def holds(self, question: Hashable) -> bool:
        """Tell whether the answer is remembered and the index has not changed."""
        return self._find(question, self._generation()) is not None

    def _find(self, question: Hashable, now: int) -> tuple[int, object] | None:
        with self._lock:
            found = self._answers.get(question)
            if found is None or found[0] != now:
                return None
            self._answers.move_to_end(question)
            return found
