"""Between the rules for elements: what rules do to pixels, written back into the data set."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from common.dicom_head import SEQUENCE_END
from common.dicom_scan import UNDEFINED, Element, Scan, scan_dataset
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.mask import Masked, mask
from deidentifier.transformations.remove_burned_in_annotations import RemoveBurnedInAnnotations


def clean_pixels(found: Scan, rules: Sequence[RemoveBurnedInAnnotations]) -> Scan:
    """Blacken what rules ask for.

    Parameters
    ----------
    found
        A data set in work.
    rules
        Those for its pixels.

    Returns
    -------
    Scan
        The data set with blackened pixels; the same where it has none.

    Raises
    ------
    QuarantineError
        The pixels are in a form that cannot be blackened.
    """
    pixels = found.pixel_data
    boxes = tuple(Box(*box) for rule in rules for box in rule.box_coordinates)
    if pixels is None or not boxes:
        return found
    head, _, value, end = pixels
    masked = mask(
        _header(found, pixels),
        found.transfer_syntax,
        memoryview(found.data)[value:end],
        [boxes],
        keyword=head.keyword,
        vr=head.vr,
    )
    if masked.pixel_data is None and not masked.changes and not masked.removed:
        return found
    return scan_dataset(b"".join(_replace(found, pixels, masked)), str(masked.transfer_syntax))


def _header(found: Scan, pixels: Element) -> Dataset:
    """Read the elements before the pixel data with pydicom."""
    syntax = found.dataset.syntax
    data = found.data[found.dataset.start : pixels[1]]
    return read_dataset(io.BytesIO(data), not syntax.explicit, syntax.order == "<")


def _replace(found: Scan, pixels: Element, masked: Masked) -> Iterable[bytes | memoryview]:
    """Yield the elements of the data set with the masked ones in their places."""
    data = memoryview(found.data)
    changes = {int(element.tag): element for element in masked.changes}
    for element in found.dataset.elements:
        tag = element[0].tag
        for added in sorted(each for each in changes if each < tag):
            yield _encode(found, changes.pop(added))
        if element is pixels and masked.pixel_data is not None:
            yield from _pixel_data(found, element, masked)
        elif tag in changes:
            yield _encode(found, changes.pop(tag))
        elif tag not in masked.removed:
            yield data[element[1] : element[3]]
    for added in sorted(changes):
        yield _encode(found, changes[added])


def _pixel_data(found: Scan, element: Element, masked: Masked) -> Iterable[bytes | memoryview]:
    syntax, value = found.dataset.syntax, masked.pixel_data or b""
    if not UID(masked.transfer_syntax).is_encapsulated:
        yield syntax.rewrite_header(element[0], len(value))
        yield memoryview(value)
        return
    yield syntax.rewrite_header(element[0], UNDEFINED)
    yield memoryview(value)
    yield syntax.write_item_header(SEQUENCE_END, 0)


def _encode(found: Scan, element: DataElement) -> bytes:
    """Return the bytes of an element that the masking wrote."""
    syntax = found.dataset.syntax
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = not syntax.explicit, syntax.order == "<"
    dataset = Dataset()
    dataset.add(element)
    write_dataset(buffer, dataset, list(found.dataset.encodings))
    return buffer.getvalue()
