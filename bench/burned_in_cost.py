"""What bench/burned_in.py measures of blackening itself: time and memory beside the file."""

from __future__ import annotations

import sys
import time
import tracemalloc
from functools import partial
from typing import Any

import jpeg_ls
import numpy as np
from pydicom.dataset import Dataset

from bench.burned_in_images import compressed
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.mask import mask


def masking_cost() -> dict[str, float]:
    """Time and memory of fixed boxes on 20 uncompressed frames of 640 × 480 RGB, against copying the file."""
    header = Dataset()
    header.Rows, header.Columns, header.NumberOfFrames, header.SamplesPerPixel = 480, 640, 20, 3
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    header.PhotometricInterpretation, header.PlanarConfiguration = "RGB", 0
    value = np.random.default_rng(7).bytes(480 * 640 * 3 * 20)
    boxes = [(Box(0, 0, 640, 60), Box(500, 400, 640, 480), Box(10, 100, 200, 140))]
    masking = partial(mask, header, "1.2.840.10008.1.2.1", value, boxes, vr="OB")
    copying = partial(bytearray, value)
    cost = {"mask": min(_times(masking)), "copy": min(_times(copying))}
    tracemalloc.start()
    masking()
    cost["memory"] = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return cost | {"file": len(value), "frame": len(value) / 20}


def compressed_memory() -> dict[str, float]:
    """Memory beside the file that came and the one that is made, in frames: a box in each of 12 compressed frames.

    Of Python and NumPy, the spare room at the end of the new file left out; what GDCM and OpenJPEG take inside
    themselves is theirs. pyjpegls takes its memory from Python: ``jls-codec`` is what it takes to encode one frame.
    """
    plain = np.random.default_rng(7).integers(0, 60, (12, 480, 640, 3), np.uint8)
    memory = {}
    for form in ("rle", "jls", "j2k", "jpeg-ll", "jpeg"):
        dataset = compressed(plain, form)
        boxes = [(Box(0, 0, 640, 60),)]
        masking = partial(mask, dataset, dataset.file_meta.TransferSyntaxUID, dataset.PixelData, boxes, vr="OB")
        masking()
        tracemalloc.start()
        masked = masking()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        memory[form] = (peak - sys.getsizeof(masked.pixel_data)) / plain[0].nbytes
    tracemalloc.start()
    jpeg_ls.encode_pixel_data(plain[0].tobytes(), rows=480, columns=640, samples_per_pixel=3, bits_stored=8)
    memory["jls-codec"] = tracemalloc.get_traced_memory()[1] / plain[0].nbytes
    tracemalloc.stop()
    return memory


def _times(function: Any) -> list[float]:
    times = []
    for _ in range(15):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return times
