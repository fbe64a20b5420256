"""The story of one instance: what comes in, what is done to it, what goes out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.dicom_head import Head
from common.dicom_scan import MAX_INFLATED, Scan, scan
from common.errors import QuarantineError
from deidentifier.file_meta import DicomFile
from deidentifier.finding import Finding
from deidentifier.instance import PATIENT_ID, Instance
from deidentifier.labels import match_labels
from deidentifier.leak_check import LeakCheck
from deidentifier.leaks import Leak
from deidentifier.mappings import MappingCache, MappingStore
from deidentifier.pixels.engines import engines
from deidentifier.profiles.declared import declared_safe
from deidentifier.profiles.identifying import Identities
from deidentifier.profiles.pixel_bits import clear_unused
from deidentifier.program import Program, Programs
from deidentifier.pseudonym_key import PseudonymKey
from deidentifier.rules import Rules
from deidentifier.work import Work

if TYPE_CHECKING:
    from deidentifier.profiles.named_entities import Recogniser

_SOP_CLASS = 0x00080016


@dataclass
class Outcome:
    """What became of an instance.

    Attributes
    ----------
    state
        ``deidentified`` or ``discarded``.
    file
        The new file; None where the instance is discarded.
    labels
        Labels of the original.
    leaks
        Identifying values of the original that were found in the result.
    reason
        Why it is discarded, where that is not the rules' doing.
    """

    state: str
    file: DicomFile | None = field(default=None, repr=False)
    labels: frozenset[str] = frozenset()
    work: Work | None = field(default=None, repr=False)
    leaks: list[Leak] = field(default_factory=list)
    reason: str = ""

    @property
    def data(self) -> bytes:
        """The bytes of the new file; none where the instance is discarded."""
        return self.file.data if self.file is not None else b""

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID of the new file."""
        return self.work.sop_instance_uid if self.work else ""

    @property
    def report(self) -> list[Finding]:
        """What rules did, element by element, without values."""
        found = self.work.findings() if self.work else []
        return found + [Finding(leak.path, "", (leak.rule,), "leak", (leak.kind,)) for leak in self.leaks]


class Deidentifier:
    """De-identifies instances by some rules; one instance at a time.

    Parameters
    ----------
    rules
        The rules.
    mappings
        Where mappings are kept.
    max_inflated
        Limit of the size of a deflated data set, in bytes.
    rekognition_region
        RPACS_REKOGNITION_REGION: where it is given, text in pixels is found there by default.
    checks_leaks
        Whether results are checked; only measurements of the rest go without.
    key
        RPACS_PSEUDONYM_KEY: what new values are derived from; None: they are random.
    withdrawn
        Tells whether the patient with a Patient ID withdrew the consent: nothing of theirs is sent on.
    vocabulary
        RPACS_VOCABULARY_FILE: words of the site that CleanDescriptors keeps.
    recogniser
        RPACS_NER_MODEL: finds named entities, whose words CleanDescriptors does not keep.
    trusts_declared
        RPACS_TRUST_PRIVATE_CHARACTERISTICS: RetainSafePrivate keeps what the sender declares to be safe, too.
    """

    def __init__(
        self,
        rules: Rules,
        mappings: MappingStore,
        *,
        max_inflated: int = MAX_INFLATED,
        rekognition_region: str | None = None,
        checks_leaks: bool = True,
        key: PseudonymKey | None = None,
        withdrawn: Callable[[str], bool] | None = None,
        vocabulary: frozenset[str] = frozenset(),
        recogniser: Recogniser | None = None,
        trusts_declared: bool = False,
    ) -> None:
        self.rules = rules
        self.recogniser = recogniser
        self._checks_leaks = checks_leaks
        self._withdrawn = withdrawn
        self._trusts_declared = trusts_declared
        self._mappings = MappingCache(mappings, key=key)
        self._programs = Programs(rules)
        self._max_inflated = max_inflated
        self._identities = Identities(vocabulary, recogniser)
        self._finder = engines(rekognition_region)
        # What is loaded by now stays for good; the collector need not walk over it again every few instances.
        gc.freeze()

    def deidentify(self, data: bytes) -> Outcome:
        """De-identify a DICOM file.

        Raises
        ------
        InvalidDicomError
            The bytes are not DICOM, or damaged.
        QuarantineError
            A person has to look at the instance; a :class:`~deidentifier.leaks.LeakError` tells what was found where.
        DatabaseUnavailableError
            The mappings cannot be reached; try again later.
        """
        original = scan(data, max_inflated=self._max_inflated)
        labels = match_labels(self.rules.labels, original)
        if not self.rules.scope_to_forward.holds(labels):
            return Outcome("discarded", labels=labels)
        if self._withdrawn is not None and self._withdrawn(original.text(PATIENT_ID)):
            return Outcome("discarded", labels=labels, reason="ConsentWithdrawn")
        program = self.program(original, labels)
        if program.refused:
            raise QuarantineError(program.refused)
        for tag in program.needs:
            if not original.text(tag).strip():
                raise QuarantineError(f"{Head(tag, '', '', 4).name}: no value, so no predefined code (OnlyPredefined)")
        if program.profile is not None and not _keeps_pixels(program, original):
            original = clear_unused(original)
        instance = Instance(original, self._mappings, self._identities)
        work = Work(original, instance)
        work.rewrite(program.plan)
        if program.plan_after is not None:
            work.clean_pixels(program.pixels, self._finder)
            work.rewrite(program.plan_after)
        result = work.file(program.transcode)
        if self._checks_leaks:
            try:
                result, leaks = LeakCheck(self.rules.on_leak, program, instance, original).check(work, result)
            except QuarantineError as exc:
                exc.boxes = work.boxes
                raise
            return Outcome("deidentified", result, labels, work, leaks)
        return Outcome("deidentified", result, labels, work)

    def program(self, original: Scan, labels: frozenset[str]) -> Program:
        """Return what is done to an instance that has these labels."""
        declared = declared_safe(original) if self._trusts_declared else frozenset()
        return self._programs.program(labels, original.text(_SOP_CLASS), declared)


def _keeps_pixels(program: Program, original: Scan) -> bool:
    """Tell whether KeepTags exempts the pixel data as it stands, comments of its codestreams included."""
    return original.pixel_data is not None and program.keeps([original.pixel_data[0]])
