"""What an Orthanc of either role has to do with DICOM peers, whichever version it is and wherever it runs."""

from __future__ import annotations

import io
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import requests
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage

Auth = tuple[str, str]


def client_context(folder: Path | None, trusted: Path) -> ssl.SSLContext:
    """Return the TLS context of a peer that connects, with the certificate in a folder or with none."""
    context = ssl.create_default_context(cafile=str(trusted))
    if folder is not None:
        context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


def store(
    data: bytes, port: int, called_aet: str, *, calling_aet: str = "PEER", tls: ssl.SSLContext | None = None
) -> int:
    """Send an instance by C-STORE; return the status, -1 where no association was made."""
    peer = AE(ae_title=calling_aet)
    peer.add_requested_context(CTImageStorage)
    arguments: dict[str, Any] = {"tls_args": (tls, "localhost")} if tls else {}
    association = peer.associate("localhost", port, ae_title=called_aet, **arguments)
    try:
        if not association.is_established:
            return -1
        return int(association.send_c_store(pydicom.dcmread(io.BytesIO(data))).Status)
    finally:
        association.release()
        # pynetdicom leaves the socket of an association open that was refused.
        connection = association.dul.socket and association.dul.socket.socket
        if connection:
            connection.close()


@dataclass
class Receiver:
    """A DICOM server that keeps the SOP Instance UIDs of what it is sent."""

    port: int
    uids: list[str] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receive_by_tls(folder: Path) -> Iterator[Receiver]:
    """Run a DICOM server over TLS that wants a certificate of its own authority from whoever connects."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "trusted.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    receiver = Receiver(0)

    def keep(event: evt.Event) -> int:
        receiver.uids.append(str(event.dataset.SOPInstanceUID))
        receiver.arrived.set()
        return 0

    ae = AE(ae_title="RECEIVER")
    ae.add_supported_context(CTImageStorage)
    server = ae.start_server(("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=[(evt.EVT_C_STORE, keep)])
    receiver.port = server.socket.getsockname()[1]
    try:
        yield receiver
    finally:
        server.shutdown()


def tls_modality(port: int) -> dict[str, Any]:
    """Return the JSON that tells Orthanc of a receiver over TLS."""
    peer = {"AET": "RECEIVER", "Host": "localhost", "Port": port, "UseDicomTls": True}
    return {"DicomModalities": {"RECEIVER": peer}}


def forward(url: str, auth: Auth) -> None:
    """Have Orthanc send all its instances to the receiver."""
    instances = requests.get(f"{url}/instances", auth=auth, timeout=30).json()
    answer = requests.post(f"{url}/modalities/RECEIVER/store", json=instances, auth=auth, timeout=60)
    assert answer.ok, answer.text
    assert answer.json()["FailedInstancesCount"] == 0, answer.text
