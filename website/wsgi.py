"""``gunicorn website.wsgi:app``."""

from __future__ import annotations

import atexit
import sys

from common import log
from common.errors import SettingsError
from website.app import create_app
from website.context import services
from website.settings import load_settings

try:
    _settings = load_settings()
except SettingsError as exc:
    print(exc, file=sys.stderr)
    raise SystemExit(2) from exc
log.configure(_settings)
log.protect("gunicorn.error", "gunicorn.access")
app = create_app(_settings)


def _stop() -> None:
    with app.app_context():
        services().minutes.close()
        services().audit.close()


# The head of the audit trail goes into the log when the process stops.
atexit.register(_stop)
