"""The console's application on real servers, and a task that waits for a decision."""

import pytest
import requests
from pydicom.data import get_testdata_file

from common.auth.accounts import Accounts
from common.tasks import Asked, Result, TaskQueue
from deidentifier.commands.migrate import migrate_ingest
from deidentifier.console.app import create_app
from deidentifier.console.settings import ConsoleSettings

PASSWORD = "correct horse battery"
AUDIT_KEY = "a" * 32


@pytest.fixture
def console(database, source_orthanc, research_orthanc, tmp_path):
    """Give the console's application on a migrated database, with an administrator and a viewer."""
    migrate_ingest(database.owner, "rpacs_deidentifier", "rpacs_reidentify")
    accounts = Accounts(tmp_path / "accounts.yaml")
    accounts.add("alice", PASSWORD, ["admin"])
    accounts.add("victor", PASSWORD, ["viewers"])
    environ = database.environ("rpacs_deidentifier")
    settings = ConsoleSettings(
        database_host=environ["RPACS_POSTGRESQL_HOSTNAME"],
        database_port=int(environ["RPACS_POSTGRESQL_PORT"]),
        database_user="rpacs_deidentifier",
        database_password="rpacs_deidentifier",
        database_name=database.name,
        source_url=source_orthanc.url,
        source_username=source_orthanc.username,
        source_password=source_orthanc.password,
        destination_url=research_orthanc.url,
        destination_username=research_orthanc.username,
        destination_password=research_orthanc.password,
        public_url="http://127.0.0.1",
        accounts_file=str(tmp_path / "accounts.yaml"),
        secret_key="s" * 32,
        audit_key=AUDIT_KEY,
    )
    app = create_app(settings)
    yield app
    app.extensions["gate"].audit.close()
    app.extensions["console"].database.close()


@pytest.fixture
def quarantined(console, source_orthanc):
    """Give the ID of a quarantined task whose original is in the source Orthanc."""
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:
        answer = requests.post(f"{source_orthanc.url}/instances", data=file, auth=source_orthanc.auth, timeout=10)
    queue: TaskQueue = console.extensions["console"].queue
    with queue.database.transaction() as cursor:
        queue.enqueue(cursor, "deidentify", [Asked(answer.json()["ID"], 1, 1)])
    [task] = queue.claim("deidentify", "test", 1)
    stopped = Result(task, "quarantined", error_code="Quarantine", error="burned-in text is suspected")
    with queue.database.transaction() as cursor:
        queue.finish(cursor, "test", [stopped])
    return task.id
