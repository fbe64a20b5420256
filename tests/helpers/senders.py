"""Modalities: they send by C-STORE on several associations, and send again what was not answered with success."""

from __future__ import annotations

import io
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable

from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage

SUCCESS = 0x0000


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, port)) == 0


class Senders:
    """Sends instances on some associations at a time, whatever happens to the peer.

    Parameters
    ----------
    address
        Host, port and AE title, asked for anew with each association.
    """

    def __init__(
        self, address: Callable[[], tuple[str, int, str]], instances: Iterable[bytes], associations: int
    ) -> None:
        self._address = address
        self._waiting: queue.Queue[bytes] = queue.Queue()
        for data in instances:
            self._waiting.put(data)
        self.sent = 0
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(associations)]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def is_done(self) -> bool:
        """Tell whether everything was answered with success."""
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        association: Association | None = None
        while True:
            try:
                data = self._waiting.get_nowait()
            except queue.Empty:
                break
            if association is None or not association.is_established:
                association = self._associate()
            if association is not None and self._store(association, data):
                self.sent += 1
            else:
                self._waiting.put(data)
                time.sleep(0.2)
        if association is not None and association.is_established:
            association.release()

    def _associate(self) -> Association | None:
        host, port, aet = self._address()
        if not _listens(host, port):  # pynetdicom leaves the sockets of refused connections open
            return None
        entity = AE("SENDER")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
        entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
        association = entity.associate(host, port, ae_title=aet)
        return association if association.is_established else None

    @staticmethod
    def _store(association: Association, data: bytes) -> bool:
        try:
            status = association.send_c_store(dcmread(io.BytesIO(data)))
        except (RuntimeError, ValueError, OSError):
            return False
        return getattr(status, "Status", None) == SUCCESS
