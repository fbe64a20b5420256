"""How a process of ours uses memory."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

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


def memory_limit(cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """Return the bytes that this process can have: the machine's memory, or the least that a control group allows.

    Parameters
    ----------
    cgroups
        Where control groups are mounted: version 2, or ``memory`` of version 1 (cgroups(7)).
    membership
        Which of them this process is in.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0":
            limits += _limits(cgroups, group, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits(cgroups / "memory", group, "memory.limit_in_bytes")
    return min(limits)


def _limits(root: Path, group: str, name: str) -> list[int]:
    """Return the limits of a group and of those that it is in; in a container its own is the root."""
    folder = root / group.lstrip("/")
    found = []
    for each in (folder, *folder.parents):
        if each.is_relative_to(root):
            try:
                text = (each / name).read_text().strip()
            except OSError:
                continue
            if text.isdigit():
                found.append(int(text))
    return found
