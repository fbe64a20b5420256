"""Large instances wait for room in memory; small ones do not."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.worker import Batch
from deidentifier import room
from deidentifier.room import Room
from tests.helpers.pipeline import Pipeline, client
from tests.helpers.slices import make_slice


class Together:
    """Counts how many are at work at the same time."""

    def __init__(self):
        self.now, self.most, self._lock = 0, 0, threading.Lock()

    def __enter__(self):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self._lock:
            self.now -= 1


@pytest.mark.parametrize(("size", "most"), [(40, 2), (60, 1), (500, 1), (30, 3)])
def test_as_many_as_fit_are_at_work(size, most):
    together, shared = Together(), Room(100)

    def work(_):
        with shared.take(size), together:
            time.sleep(0.05)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(12)))
    assert together.most == most
    assert together.now == 0


def test_room_is_given_back_after_an_error():
    shared = Room(10)
    with pytest.raises(ValueError, match="broken"), shared.take(10):
        raise ValueError("broken")
    with shared.take(10):
        pass


def test_processes_share_what_there_is(monkeypatch):
    monkeypatch.setattr(room, "memory_limit", lambda: 4 << 30)
    alone, one_of_two = Room.of_process(1), Room.of_process(2)
    assert alone._size > 2 * 500_000_000 > one_of_two._size > 500_000_000


@pytest.mark.parametrize(("largest", "most"), [(1_000, 1), (1_000_000, 3)])
def test_large_instances_take_turns(queue, source_orthanc, research_orthanc, monkeypatch, largest, most):
    """Three threads, as of one process; there is room for one large instance at a time."""
    monkeypatch.setattr("deidentifier.worker.SMALL", largest)
    pipeline = Pipeline(queue, client(source_orthanc), client(research_orthanc), room=Room(1))
    for number in range(6):
        pipeline.send(make_slice(number, rows=64))
    together, deidentify = Together(), pipeline.rules.current()

    def slowly(data):
        with together:
            time.sleep(0.2)
            return deidentify(data)

    monkeypatch.setattr(pipeline.rules, "current", lambda: slowly)
    batches = [pipeline.claim(2) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        work = [
            pool.submit(pipeline.worker.work, Batch(pipeline.queue, "me", tasks, lambda: False)) for tasks in batches
        ]
        results = [result for each in work for result in each.result()]
    assert [result.state for result in results] == ["done"] * 6
    assert together.most == most
    assert pipeline.destination.count_instances() == 6
