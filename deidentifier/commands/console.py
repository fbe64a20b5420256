"""Run the console of the ingest side: what came in, what became of it, what waits for a person."""

from __future__ import annotations

import argparse

from flask import Flask
from gunicorn.app.base import BaseApplication

from common import log
from deidentifier.console.app import create_app
from deidentifier.console.settings import ConsoleSettings, load_settings


class _Server(BaseApplication):
    """Gunicorn with one process and some threads; the application is made after the fork."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        self.cfg.set("bind", f"{self._settings.address}:{self._settings.port}")
        self.cfg.set("worker_class", "gthread")
        self.cfg.set("threads", 8)
        self.cfg.set("control_socket_disable", True)
        self.cfg.set("worker_tmp_dir", "/dev/shm")  # noqa: S108 - heartbeats need no disk (gunicorn's advice)

    def load(self) -> Flask:  # type: ignore[override]  # any WSGI callable; the stub knows fewer
        return create_app(self._settings)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments: none."""


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal."""
    settings = load_settings()
    log.configure(settings)
    _Server(settings).run()
    return 0
