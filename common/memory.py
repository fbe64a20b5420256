"""How a process of ours uses memory."""

from __future__ import annotations

import ctypes
import logging

logger = logging.getLogger(__name__)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_REUSED, _KEPT = 4 << 20, 32 << 20


def keep_freed_memory() -> None:
    """Let glibc reuse blocks of up to 4 MB instead of handing each back to the kernel.

    A slice is half a megabyte, and is copied half a dozen times: fresh pages from the kernel for each copy take more
    time than the copy. Larger blocks still go back at once, so that a worker's memory stays bound by what it works on.
    Elsewhere than on glibc nothing happens (mallopt(3)).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    # One arena: else the threads' own would each keep as much.
    for option, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _REUSED), (_M_TRIM_THRESHOLD, _KEPT)):
        mallopt(option, value)
