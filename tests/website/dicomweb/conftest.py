"""A portal on a socket with a store behind it, and DICOMweb clients of its users."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from werkzeug.serving import make_server

from common.auth.identity import Identity
from common.orthanc import Orthanc
from demo.servers.process import free_port
from tests.helpers.research_store import ResearchStore
from tests.website.conftest import GROUPS, Portal
from website.index import Index


@dataclass
class Archive:
    """A running portal, its store, and the data sets in it by name."""

    portal: Portal
    url: str
    store: ResearchStore
    datasets: dict[str, pydicom.Dataset] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """Address of DICOMweb."""
        return f"{self.url}/dicom-web"

    def add(self, **files: bytes) -> None:
        """Store and index files under names."""
        self.store.add(*files.values())
        self.files |= files
        self.datasets |= {name: pydicom.dcmread(io.BytesIO(data)) for name, data in files.items()}

    def token(self, user: str, *actions: str, lifetime: timedelta = timedelta(hours=1)) -> str:
        """Return an API token of a user, who has just logged in."""
        services = self.portal.services
        services.users.record_login(Identity(user, frozenset(GROUPS[user]), "local"))
        carried = actions or ("see", "download")
        secret, _ = services.tokens.create(user, label="test", actions=carried, lifetime=lifetime)
        return str(secret)

    def session(self, user: str | None, *actions: str) -> requests.Session:
        """Return a session that sends a user's token."""
        session = requests.Session()
        if user is not None:
            session.headers["Authorization"] = f"Bearer {self.token(user, *actions)}"
        return session

    def client(self, user: str, *actions: str, root: str = "") -> DICOMwebClient:
        """Return dicomweb-client as a user, with an API token."""
        return DICOMwebClient(root or self.root, session=self.session(user, *actions))

    def path(self, name: str, level: str = "instance") -> str:
        """Return the path of a study, series or instance below the root."""
        dataset = self.datasets[name]
        parts = {"studies": dataset.StudyInstanceUID, "series": dataset.SeriesInstanceUID}
        parts["instances"] = dataset.SOPInstanceUID
        depth = ("study", "series", "instance").index(level) + 1
        return "".join(f"/{key}/{uid}" for key, uid in list(parts.items())[:depth])

    def uids(self, name: str) -> tuple[str, str, str]:
        """Return the three UIDs of an instance."""
        dataset = self.datasets[name]
        return str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)


@pytest.fixture
def make_archive(make_portal, research_orthanc) -> Iterator[Callable[..., Archive]]:
    """Give a function that starts an archive with some files."""
    running: list[tuple[Any, threading.Thread]] = []

    def make(files: dict[str, bytes] | None = None, **variables: str) -> Archive:
        port = free_port()
        portal = make_portal(
            RPACS_ORTHANC_HOSTNAME=research_orthanc.url,
            RPACS_ORTHANC_USERNAME=research_orthanc.username,
            RPACS_ORTHANC_PASSWORD=research_orthanc.password,
            RPACS_PUBLIC_URL=f"http://127.0.0.1:{port}",
            **variables,
        )
        server = make_server("127.0.0.1", port, portal.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        store = ResearchStore(Orthanc(research_orthanc.url, *research_orthanc.auth), Index(portal.services.database))
        archive = Archive(portal, f"http://127.0.0.1:{port}", store)
        archive.add(**(files or {}))
        running.append((server, thread))
        return archive

    yield make
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()
