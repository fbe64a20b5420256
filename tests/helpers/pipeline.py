"""The de-identifier's parts between two Orthancs, one batch at a time, with rules that a test changes."""

from __future__ import annotations

import hashlib
import io

import pydicom

from common.orthanc import Orthanc
from common.tasks import Asked
from common.worker import Batch
from deidentifier.worker import KIND, InstanceWorker, Made


class Rules:
    """Rules that a test changes; what they do is the engine's, and tested there."""

    def __init__(self):
        self.version = "1"
        self.patient = "ANON"
        self.before = lambda dataset: None
        self.discard = False
        self.maps_uids = True

    def current(self):
        return self.apply

    def apply(self, data):
        dataset = pydicom.dcmread(io.BytesIO(data))
        self.before(dataset)
        if self.discard:
            return Made(None, {}, self.version)
        for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID") if self.maps_uids else ():
            value = int(hashlib.sha256(dataset[name].value.encode()).hexdigest()[:30], 16)
            dataset[name].value = f"2.25.{value}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID, dataset.PatientName = self.patient, "Anon"
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        return Made(buffer.getvalue(), {"labels": ["ALL"]}, self.version)


class Pipeline:
    """The parts, and one batch at a time."""

    def __init__(self, queue, source, destination, **options):
        self.queue, self.source, self.destination, self.rules = queue, source, destination, Rules()
        self.worker = InstanceWorker(source, destination, self.rules, **options)
        self.seq = 0

    def send(self, data, client=None):
        answer = (client or self.source).upload(data)
        self.ask(answer.id)
        return answer.id

    def ask(self, subject):
        self.seq += 1
        with self.queue.database.transaction() as cursor:
            self.queue.enqueue(cursor, KIND, [Asked(subject, 1, self.seq)])

    def claim(self, limit=10):
        with self.queue.database.transaction() as cursor:
            cursor.execute("UPDATE ingest.tasks SET available_at = now() WHERE state = 'queued'")
        return self.queue.claim(KIND, "me", limit)

    def die(self):
        """Work as far as to the end, but never say so."""
        self.worker.work(Batch(self.queue, "me", self.claim(), lambda: False))
        with self.queue.database.transaction() as cursor:
            cursor.execute("UPDATE ingest.tasks SET state = 'queued', worker = NULL WHERE state = 'running'")

    def run(self, limit=10):
        return self.work("me", self.claim(limit))

    def work(self, name, tasks):
        """Work on tasks that were claimed under a name."""
        results = self.worker.work(Batch(self.queue, name, tasks, lambda: False))
        begun = {result.task.id for result in results}
        self.queue.release(name, [task for task in tasks if task.id not in begun])
        self.queue.exchange(results, KIND, name, 0)
        return results

    def row(self, subject):
        return self.queue.list_tasks(subjects=[subject])[0]

    def results(self):
        return [pydicom.dcmread(io.BytesIO(self.destination.download(i))) for i in self.destination.instances(0, 100)]


def client(server, **options):
    return Orthanc(server.url, server.username, server.password, **options)
