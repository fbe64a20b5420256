"""How gunicorn runs the portal: ``gunicorn --config python:website.gunicorn_settings website.wsgi:app``.

A process for each core, since Python renders on one core at a time; threads in it for what waits for PostgreSQL,
Orthanc and slow clients. What is given on the command line (``--workers 4``) goes before what stands here.
"""

from __future__ import annotations

import os

worker_class = "gthread"
workers = len(os.sched_getaffinity(0))
threads = 8
# A ZIP of many gigabytes takes as long as its reader needs: threads report themselves, only a hung process is ended.
timeout = 120
worker_tmp_dir = "/dev/shm"  # noqa: S108 - heartbeats need no disk (gunicorn's advice)
