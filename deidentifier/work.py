"""The data set of an instance while it becomes the result."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from common.dicom_scan import Scan, scan_dataset
from common.dicom_text import strip_padding
from deidentifier.file_meta import DicomFile, write_file
from deidentifier.finding import Finding
from deidentifier.instance import SOP_INSTANCE, Instance
from deidentifier.leak_patterns import MIN_RAW
from deidentifier.pieces import Piece, join, piece_bytes
from deidentifier.plan import Plan
from deidentifier.rewrite import Rewriter
from deidentifier.transformations.randomize_uid import random_uid
from deidentifier.transformations.remove_burned_in_annotations import RemoveBurnedInAnnotations

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork
    from deidentifier.pixels.boxes import Boxes
    from deidentifier.pixels.clean import Cleaned
    from deidentifier.pixels.finder import Finder

_SOP_CLASS = 0x00080016
_REGISTERED = b"1.2.840.10008."


class Work:
    """The data set in work: rewritten by plans, its pixels cleaned in between, written as a file in the end.

    Attributes
    ----------
    original
        The instance as it came.
    """

    def __init__(self, original: Scan, instance: Instance) -> None:
        self.original = self._scan = original
        self._instance = instance
        self._pieces: list[Piece] = []
        self._rewriters: list[Rewriter] = []
        self._sop_class = original.value(_SOP_CLASS)
        self._sop_instance = original.value(SOP_INSTANCE)
        self.cleaned: Cleaned | None = None

    def rewrite(self, plan: Plan) -> None:
        """Apply the rules of a plan."""
        rewriter = Rewriter(plan, self._instance)
        self._pieces = rewriter.rewrite(self._scan)
        self._sop_class = rewriter.new_value(_SOP_CLASS, self._sop_class)
        self._sop_instance = rewriter.new_value(SOP_INSTANCE, self._sop_instance)
        self._rewriters.append(rewriter)

    def clean_pixels(self, rules: Sequence[RemoveBurnedInAnnotations], finder: Callable[[str | None], Finder]) -> None:
        """Blacken what rules for pixels ask for; what comes next is scanned anew."""
        from deidentifier.pixel_work import clean_pixels  # NumPy, pydicom, the codecs: only for who needs them

        found = scan_dataset(join(self._pieces), self._scan.transfer_syntax)
        with warnings.catch_warnings():
            # pydicom warns of illegal values, and quotes them.
            warnings.simplefilter("ignore")
            self._scan, self.cleaned = clean_pixels(found, rules, self.original, finder)
        self._instance.pixels_examined = self.cleaned is not None
        self._pieces = []

    @property
    def boxes(self) -> Sequence[Boxes]:
        """What was blackened in each frame; empty where no rule asked for pixels."""
        return self.cleaned.boxes if self.cleaned is not None else ()

    @property
    def pixels_cleaned(self) -> bool:
        """Whether pixels were really examined or masked: the ground for claiming the Clean Pixel Data Option."""
        return self.cleaned is not None and self.cleaned.is_claimed

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID of the result; where it has none, one that is made up for the file meta information."""
        if not self._sop_instance:
            return random_uid(self._instance.derive("UID", "MediaStorageSOPInstanceUID", ""))
        return strip_padding(self._sop_instance).decode("latin-1")

    def file(self, transfer_syntax: str | None = None) -> DicomFile:
        """Return the DICOM file, in another transfer syntax if asked."""
        own = self._scan.transfer_syntax
        sop_class = strip_padding(self._sop_class or b"").decode("latin-1")
        pieces = [*map(piece_bytes, self._pieces)]
        pixels = self._part_pixels(pieces)
        file = write_file(pieces, own, sop_class, self.sop_instance_uid, pixels)
        if not transfer_syntax or transfer_syntax == own:
            return file
        from common.transcoding import transcode  # as above

        return DicomFile(transcode(file.data, transfer_syntax))

    def _part_pixels(self, pieces: list[bytes | memoryview]) -> int | None:
        """Part the last piece around the pixel data where they are in it; return which piece they are then."""
        pixels, end = self._scan.pixel_data, self._scan.dataset.end
        last = pieces[-1] if pieces else b""
        # What rules leave untouched behind the last element that they touch is one view of the original.
        if pixels is None or not isinstance(last, memoryview) or len(last) < end - pixels[1]:
            return None
        start, stop = len(last) - (end - pixels[1]), len(last) - (end - pixels[3])
        pieces[-1:] = [last[:start], last[start:stop], last[stop:]]
        return len(pieces) - 2

    def release(self) -> None:
        """Let go of the bytes that were worked on; only the file that was made may be used from then on."""
        for scan in {id(each): each for each in (self.original, self._scan)}.values():
            scan.release()

    def replaced_uids(self) -> frozenset[bytes]:
        """Return the original UIDs that were replaced."""
        values = b"\\".join(value for rewriter in self._rewriters for value in rewriter.replaced_uids())
        found = (uid.strip(b" \0") for uid in values.split(b"\\"))
        return frozenset(uid for uid in found if len(uid) >= MIN_RAW and not uid.startswith(_REGISTERED))

    def worked_on(self) -> Iterator[tuple[str, str, ElementInWork]]:
        """Yield the elements whose values were worked on, with their paths and what is reported as the reason."""
        for rewriter in self._rewriters:
            yield from rewriter.worked_on()

    def findings(self) -> list[Finding]:
        """Return what rules did, element by element, without values."""
        found = [finding for rewriter in self._rewriters for finding in rewriter.findings()]
        notes = [*self._instance.notes(), *(self.cleaned.notes() if self.cleaned else ())]
        return found + [Finding("", "", (), "note", (note,)) for note in notes]
