"""What the rules in force would make of an original, for a person who has to decide about it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from common.errors import PermanentError, QuarantineError
from common.storage import WatchedFile
from deidentifier.builder import DeidentifierBuilder
from deidentifier.deidentify import Deidentifier
from deidentifier.rules_in_force import apply
from deidentifier.worker import md5

_KEPT = 2


@dataclass(frozen=True)
class Preview:
    """What would become of an original now; ``data`` is None where nothing would be made, ``reason`` says why.

    ``boxes`` holds for each frame where text was found, or what is blackened: left, top, right, bottom in pixels.
    """

    state: str
    data: bytes | None
    reason: str = ""
    boxes: Sequence[Sequence[tuple[int, int, int, int]]] = ()


class Previews:
    """Applies the rules in force, and keeps the last few results: a page asks for each frame by itself.

    The engine is made as a worker's is, and the mappings are the real ones, made where they are missing: the preview is
    what a worker would send.
    """

    def __init__(self, location: str, make_builder: Callable[[], DeidentifierBuilder]) -> None:
        self._location, self._make_builder = location, make_builder
        self._file: WatchedFile[Deidentifier] | None = None
        self._made: OrderedDict[tuple[str, str], Preview] = OrderedDict()
        self._lock = threading.Lock()

    def make(self, original: bytes) -> Preview:
        """Return what would become of an original.

        Raises
        ------
        ResearchPacsError
            The rules cannot be read, or the mappings not be reached.
        """
        with self._lock:
            deidentifier = self._rules()
            key = (md5(original), deidentifier.rules.sha256)
            if key not in self._made:
                self._made[key] = _try(deidentifier, original)
            self._made.move_to_end(key)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
            return self._made[key]

    def _rules(self) -> Deidentifier:
        if self._file is None:
            builder = self._make_builder()
            load = partial(builder.load, name=self._location)
            self._file = WatchedFile(self._location, load, storage=builder.storage)
        return self._file.value


def _try(deidentifier: Deidentifier, original: bytes) -> Preview:
    try:
        made = apply(deidentifier, original)
    except QuarantineError as exc:
        return Preview("quarantined", exc.result, str(exc), exc.boxes)
    except PermanentError as exc:
        return Preview("failed", None, str(exc))
    if made.data is None:
        return Preview("discarded", None, "The rules discard it.")
    return Preview("done", made.data, boxes=made.boxes)
