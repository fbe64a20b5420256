"""What one demo keeps between two starts: ports and passwords, readable by its owner alone."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from demo.servers.process import free_port


def _password() -> str:
    # A letter first: all-digit passwords become numbers in JSON configurations.
    return "p" + secrets.token_urlsafe(18)


@dataclass
class State:
    """Ports and passwords of a demo."""

    source_http: int = field(default_factory=free_port)
    source_dicom: int = field(default_factory=free_port)
    research_http: int = field(default_factory=free_port)
    research_dicom: int = field(default_factory=free_port)
    postgresql: int = field(default_factory=free_port)
    s3: int = field(default_factory=free_port)
    portal: int = field(default_factory=free_port)
    console: int = field(default_factory=free_port)
    source_password: str = field(default_factory=_password)
    research_password: str = field(default_factory=_password)
    deidentifier_database_password: str = field(default_factory=_password)
    reidentify_database_password: str = field(default_factory=_password)
    website_database_password: str = field(default_factory=_password)
    researcher_password: str = field(default_factory=_password)
    administrator_password: str = field(default_factory=_password)
    console_password: str = field(default_factory=_password)
    secret_key: str = field(default_factory=lambda: secrets.token_hex(32))
    audit_key: str = field(default_factory=lambda: secrets.token_hex(32))
    export_key: str = field(default_factory=lambda: secrets.token_hex(32))
    console_secret_key: str = field(default_factory=lambda: secrets.token_hex(32))
    console_audit_key: str = field(default_factory=lambda: secrets.token_hex(32))
    s3_access_key: str = field(default_factory=lambda: secrets.token_hex(10))
    s3_secret_key: str = field(default_factory=lambda: secrets.token_hex(20))


def load_state(folder: Path) -> State:
    """Read the state of a demo's folder; the first time, it is made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "state.json"
    # An earlier version's state lacks what this one has besides.
    state = State(**json.loads(file.read_text())) if file.exists() else State()
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        json.dump(asdict(state), stream, indent=2)
    return state
