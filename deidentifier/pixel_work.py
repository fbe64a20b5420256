"""Between the rules for elements: what rules do to pixels, written back into the data set."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from common.dicom_dataset import Element
from common.dicom_head import SEQUENCE_END, UNDEFINED
from common.dicom_scan import Scan, scan_dataset
from deidentifier.pixels.clean import Cleaned, clean
from deidentifier.pixels.finder import Finder
from deidentifier.pixels.requests import requests_of
from deidentifier.transformations.remove_burned_in_annotations import RemoveBurnedInAnnotations


def clean_pixels(
    found: Scan, rules: Sequence[RemoveBurnedInAnnotations], original: Scan, finder: Callable[[str | None], Finder]
) -> tuple[Scan, Cleaned | None]:
    """Blacken what rules ask for.

    Parameters
    ----------
    found
        A data set in work.
    rules
        Those for its pixels.
    original
        The data set as it came, which knows the device and the identifying values.
    finder
        Returns the engine of a name that finds text, the default one for None.

    Returns
    -------
    tuple
        The data set with blackened pixels, and what was done; the same data set and None where it has no pixels.

    Raises
    ------
    QuarantineError
        The pixels are in a form that cannot be blackened, or text stays readable.
    TransientError
        The service of an engine is away.
    """
    pixels = found.pixel_data
    if pixels is None:
        return found, None
    head, _, value, end = pixels
    header = _header(original, original.pixel_data or original.dataset.elements[-1])
    cleaned = clean(
        _header(found, pixels),
        found.transfer_syntax,
        memoryview(found.data)[value:end],
        requests_of(rules, header),
        finder=finder,
        original=header,
        keyword=head.keyword,
        vr=head.vr,
    )
    if cleaned.pixel_data is None and not cleaned.changes and not cleaned.removed:
        return found, cleaned
    return scan_dataset(b"".join(_replace(found, pixels, cleaned)), str(cleaned.transfer_syntax)), cleaned


def _header(found: Scan, pixels: Element) -> Dataset:
    """Read the elements before the pixel data with pydicom."""
    syntax = found.dataset.syntax
    data = found.data[found.dataset.start : pixels[1]]
    return read_dataset(io.BytesIO(data), not syntax.explicit, syntax.order == "<")


def _replace(found: Scan, pixels: Element, masked: Cleaned) -> Iterable[bytes | memoryview]:
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


def _pixel_data(found: Scan, element: Element, masked: Cleaned) -> Iterable[bytes | memoryview]:
    syntax, value = found.dataset.syntax, masked.pixel_data or b""
    if not UID(masked.transfer_syntax).is_encapsulated:
        yield syntax.with_length(found.data, element[1], element[0], len(value))
        yield memoryview(value)
        return
    yield syntax.with_length(found.data, element[1], element[0], UNDEFINED)
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
