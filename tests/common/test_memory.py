"""How much memory a process may have."""

from __future__ import annotations

import os

from common.memory import memory_limit

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limit(folder, membership, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    (folder / "membership").write_text(membership)
    return memory_limit(folder, folder / "membership")


def test_without_control_groups_it_is_the_machines(tmp_path):
    assert memory_limit(tmp_path / "none", tmp_path / "none") == MACHINE
    assert limit(tmp_path, "0::/\n", {"memory.max": "max"}) == MACHINE


def test_in_a_container_it_is_the_roots(tmp_path):
    assert limit(tmp_path, "0::/\n", {"memory.max": 4 << 20}) == 4 << 20


def test_the_least_of_the_groups_around_counts(tmp_path):
    files = {"memory.max": "max", "a/memory.max": 5 << 20, "a/b/memory.max": 9 << 20}
    assert limit(tmp_path, "0::/a/b\n", files) == 5 << 20


def test_version_1_has_a_folder_of_its_own(tmp_path):
    files = {"memory/memory.limit_in_bytes": 1 << 62, "memory/docker/x/memory.limit_in_bytes": 3 << 20}
    assert limit(tmp_path, "9:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n", files) == 3 << 20
