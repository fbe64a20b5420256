"""Applying a plan: untouched byte ranges of the original are joined with what rules wrote.

The data set is walked once; elements whose rules need mappings wait until all that the instance needs is fetched
together. Only then are the bytes put together (:mod:`deidentifier.pieces`).
"""

from __future__ import annotations

from collections.abc import Iterator

from common.dicom_dataset import DataSet, Element
from common.dicom_head import IMPLICIT, Head
from common.dicom_scan import Scan
from common.errors import InvalidDicomError
from common.tags import is_private
from deidentifier.decision import Decision
from deidentifier.element import ElementInWork
from deidentifier.finding import Finding
from deidentifier.instance import Instance
from deidentifier.memory import MOST_VALUES, Log, Recalled, SequenceKey, may_be_remembered
from deidentifier.pieces import Piece, SequenceInWork
from deidentifier.plan import Plan
from deidentifier.plan_level import PlanLevel

Chosen = tuple[Element, Decision]


class Rewriter:
    """Applies a plan to one instance."""

    def __init__(self, plan: Plan, instance: Instance) -> None:
        self._plan = plan
        self._instance = instance
        self._memory = instance.memory(plan)
        self._waiting: list[ElementInWork] = []
        self._log: list[tuple[str, Head, Decision, ElementInWork | Recalled | None]] = []
        self._new_values: list[tuple[int, bytes, ElementInWork]] = []
        self._new_sequences: list[tuple[SequenceKey, SequenceInWork | None, Log]] = []
        self._top: list[Piece] | None = None

    def rewrite(self, scan: Scan) -> list[Piece]:
        """Return the pieces of the new data set, to be joined."""
        self._top = self._dataset(scan.dataset, self._plan.top, "")
        while self._waiting:
            self._instance.fetch()
            self._waiting = [element for element in self._waiting if not element.advance()]
        self._remember()
        if self._top is None:
            return [memoryview(scan.data)[scan.dataset.start : scan.dataset.end]]
        return self._top

    def _remember(self) -> None:
        """Keep what will come out the same again; reports about a value are for its own instance."""
        for slot, before, element in self._new_values:
            if not element.notes:
                self._memory.keep_value(slot, before, element.raw)
        for key, sequence, log in self._new_sequences:
            if all(_is_repeatable(decision, element) for _, _, decision, element in log):
                written = sequence.written() if sequence is not None else None
                self._memory.keep_sequence(key, written, [*_recalled(log)])

    def new_value(self, tag: int, old: bytes | None) -> bytes | None:
        """Return the value that a top-level element has now; None where it is gone."""
        for path, head, _, element in self._log:
            if head.tag == tag and not path:
                return element.raw if element is not None and element.present else None
        return old

    def replaced_uids(self) -> set[bytes]:
        """Return the original values of the UID elements that were replaced; some hold several."""
        return {
            element.original
            for _, head, _, element in self._log
            if head.vr == "UI" and element is not None and element.changed
        }

    def findings(self) -> Iterator[Finding]:
        """Yield what was done, element by element."""
        for path, head, decision, element in self._log:
            name = path if path.endswith("]") else path + head.name
            rules = tuple(f"{rule.NAME}:{rule.line}" for rule in map(self._plan.rules.__getitem__, decision.rules))
            notes = decision.notes
            if decision.reason:
                rules = (*rules, decision.reason)
            if element is None:
                yield Finding(name, head.vr, rules, "removed" if decision.removed else "emptied", notes)
            elif element.changed or element.notes:
                yield Finding(name, element.vr, rules, element.outcome, (*notes, *dict.fromkeys(element.notes)))

    def worked_on(self) -> Iterator[tuple[str, str, ElementInWork]]:
        """Yield the elements whose values were worked on, with their paths and the profile's reason."""
        for path, head, decision, element in self._log:
            if isinstance(element, ElementInWork):
                yield path + head.name, decision.reason, element

    def _dataset(self, dataset: DataSet, level: PlanLevel, path: str) -> list[Piece] | None:
        """Return the pieces of a data set or an item, None where nothing happens in it."""
        decisions = level.decisions
        chosen: list[Chosen] = [
            (element, decision) for element in dataset.elements if (decision := decisions[element[0]]) is not None
        ]
        if level.added:
            chosen = _with_additions(chosen, dataset, level)
        if dataset.private:
            gone = len([1 for element, decision in chosen if decision.removed and element[0].special])
            # All gone, or none: then the creators need no thought.
            if gone and gone != dataset.private:
                chosen = _with_creators(chosen, dataset)
        return self._pieces(chosen, dataset, path) if chosen else None

    def _pieces(self, chosen: list[Chosen], dataset: DataSet, path: str) -> list[Piece] | None:
        """Return what stands for the chosen elements in the result, and the byte ranges between them."""
        data, raw_data = memoryview(dataset.scan.data), dataset.scan.data
        pieces: list[Piece] = []
        append, log, values = pieces.append, self._log.append, self._memory.values
        start_of_untouched = dataset.start
        for element, decision in chosen:
            head, start, value, end = element
            piece: Piece | None = None
            if value == end and decision.leaves_empty:
                continue
            if decision.slot >= 0:
                before = raw_data[value:end]
                after = values[decision.slot].get(before)
                if after is not None:
                    if after != before:
                        log((path, head, decision, Recalled(head.vr, before, after)))
                        if len(after) == end - value:
                            start = value
                            piece = after
                        else:
                            piece = dataset.syntax.with_length(raw_data, start, head, len(after)) + after
                    else:
                        continue
                else:
                    piece = self._work(dataset, element, decision, path)
                    if len(self._new_values) < MOST_VALUES:
                        self._new_values.append((decision.slot, before, piece))
            elif decision.unless is not None and decision.unless(raw_data[value:end]):
                continue
            elif decision.removed:
                log((path, head, decision, None))
            elif decision.emptied:
                if value == end:
                    continue
                piece = head.emptied
                log((path, head, decision, None))
            elif decision.level is not None:
                piece = self._recall_sequence(dataset, element, decision, path)
                if piece is None:
                    continue
            else:
                piece = self._work(dataset, element, decision, path)
            if start > start_of_untouched:
                append(data[start_of_untouched:start])
            start_of_untouched = end
            if piece is not None:
                append(piece)
        if not pieces and start_of_untouched == dataset.start:
            return None
        append(data[start_of_untouched : dataset.end])
        return pieces

    def _work(self, dataset: DataSet, element: Element, decision: Decision, path: str) -> ElementInWork:
        """Let rules work on a value."""
        work = ElementInWork(dataset, element, decision.actions, self._instance, path)
        self._log.append((path, element[0], decision, work))
        if not work.advance():
            self._waiting.append(work)
        return work

    def _recall_sequence(self, dataset: DataSet, element: Element, decision: Decision, path: str) -> Piece | None:
        """Return what was made of the same sequence before; else work on it."""
        if decision.quiet and not _holds_group_length(dataset, element):
            return None
        if not (self._plan.remembers_sequences and decision.numbered is None and may_be_remembered(element)):
            return self._sequence(dataset, element, decision, path)
        key = (
            decision.level,
            path,
            dataset.syntax,
            dataset.encodings,
            dataset.scan.data[element[1] : element[3]],
        )
        found = self._memory.sequences.get(key)
        if found is not None:
            self._log.extend(found[1])
            return found[0]
        first = len(self._log)
        piece = self._sequence(dataset, element, decision, path)
        if not isinstance(piece, bytes):
            self._new_sequences.append((key, piece, self._log[first:]))
        return piece

    def _sequence(
        self, dataset: DataSet, element: Element, decision: Decision, path: str
    ) -> SequenceInWork | bytes | None:
        """Return the sequence with what is done in its items, None where nothing is."""
        head = element[0]
        try:
            items = dataset.items(element)
        except InvalidDicomError:
            if head.written != "UN":
                raise
            # Nobody can tell what is inside, so nothing of it is passed on.
            self._log.append((path, head, Decision(emptied=True), None))
            return head.emptied
        name = path + head.name
        rewritten = []
        touched = False
        for number, item in enumerate(items):
            level = decision.numbered(number) if decision.numbered else decision.level
            if decision.choose is not None and (level := decision.choose(item)) is None:
                self._log.append(
                    (f"{path}{head.name}[{number}]", head, Decision(removed=True, reason=decision.reason), None)
                )
                touched = True
                continue
            pieces = self._dataset(item, level, f"{name}[{number}].") if level else None
            touched = touched or pieces is not None
            rewritten.append((item, pieces))
        return SequenceInWork(dataset, element, rewritten) if touched else None


def _holds_group_length(dataset: DataSet, element: Element) -> bool:
    """Tell whether a sequence may hold group length elements: what they begin with stands somewhere in its bytes."""
    data, (_, _, value, end) = dataset.scan.data, element
    return data.find(dataset.syntax.group_length, value, end) >= 0 or data.find(IMPLICIT.group_length, value, end) >= 0


def _is_repeatable(decision: Decision, element: ElementInWork | Recalled | None) -> bool:
    """Tell whether the same bytes would come out as the same again, with nothing to report about their values."""
    return element is None or (decision.slot >= 0 and not element.notes)


def _recalled(log: Log) -> Iterator[tuple[str, Head, Decision, Recalled | None]]:
    """Yield what is remembered of a log: nothing that holds on to the instance."""
    for path, head, decision, element in log:
        if element is None:
            yield path, head, decision, None
        elif element.changed:
            yield path, head, decision, Recalled(head.vr, element.original, element.raw)


def _with_additions(chosen: list[Chosen], dataset: DataSet, level: PlanLevel) -> list[Chosen]:
    """Put in the elements that are added, where their tags belong."""
    present = {element[0].tag for element in dataset.elements}
    for tag in level.added:
        if tag not in present and (decision := level.decide_absent(tag, dataset)) is not None:
            place = next((start for head, start, _, _ in dataset.elements if head.tag > tag), dataset.end)
            chosen.append(((Head(tag, "", "", 4), place, place, place), decision))
    # An added element begins and ends where the next one begins.
    return sorted(chosen, key=lambda each: (each[0][1], each[0][3], each[0][0].tag))


def _with_creators(chosen: list[Chosen], dataset: DataSet) -> list[Chosen]:
    """Let private creators stay as long as an element of their block stays, and go with the last (PS3.5 7.8.1)."""
    gone = {element[1] for element, decision in chosen if decision.removed}
    blocks: dict[int, bool] = {}
    for head, start, _, _ in [*dataset.elements, *(element for element, _ in chosen if element[1] == element[3])]:
        if is_private(head.tag) and head.tag & 0xFFFF > 0xFF:
            block = head.tag & 0xFFFFFF00
            blocks[block] = blocks.get(block, False) or start not in gone
    creators = {element[1]: element for element in dataset.elements if element[0].is_creator}
    kept = [
        (element, decision) for element, decision in chosen if element[1] not in creators or element[1] == element[3]
    ]
    for start, element in creators.items():
        stays = blocks.get(element[0].tag & 0xFFFF0000 | (element[0].tag & 0xFF) << 8)
        if stays is False or (stays is None and start in gone):
            kept.append((element, next((d for e, d in chosen if e is element), Decision(removed=True))))
    return sorted(kept, key=lambda each: (each[0][1], each[0][3], each[0][0].tag))
