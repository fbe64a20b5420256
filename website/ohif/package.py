"""The npm package of OHIF: fetched from the registry that npm is configured for, believed by its hash alone.

A registry is plain HTTPS; neither node nor npm is needed, which a fresh Debian would have to install some 400 packages
for.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import requests

from common.errors import ConfigurationError

NAME, VERSION = "@ohif/app", "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""Of the tarball, as a lock file of npm has it (Subresource Integrity): whatever served it, these are the bytes."""

# npm's own default; an environment variable or an .npmrc names another (npm's manual, "config" and "npmrc").
_DEFAULT_REGISTRY = "https://registry.npmjs.org"
_GLOBAL_FILES = ("/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc")
_CHUNK = 1 << 20


def find_registry(environ: Mapping[str, str], files: Iterable[Path]) -> str:
    """Return the base URL of the registry for OHIF's scope, as npm would choose it, without a trailing slash.

    Parameters
    ----------
    files
        The ``.npmrc`` files, the nearest first. Only their lines about registries are looked at.
    """
    found = _npm(environ, "registry")
    for file in files:
        found += _registries(file)
    return (found[0] if found else _DEFAULT_REGISTRY).rstrip("/")


def _registries(file: Path) -> list[str]:
    """Read the registries of an ``.npmrc``: the scope's before the general one."""
    try:
        text = file.read_text()
    except OSError:
        return []
    lines = dict(re.findall(r"^\s*((?:@ohif:)?registry)\s*=\s*[\"']?(https?://[^\s\"']+)", text, re.MULTILINE))
    return [lines[key] for key in ("@ohif:registry", "registry") if key in lines]


def configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """Return the ``.npmrc`` files that npm would read, the nearest first."""
    own = [*_npm(environ, "userconfig"), "~/.npmrc"][0]
    return [Path(".npmrc"), Path(own).expanduser(), *map(Path, _GLOBAL_FILES)]


def _npm(environ: Mapping[str, str], key: str) -> list[str]:
    """Return what the environment says of a key of npm's configuration; case does not matter to npm."""
    return [value for name, value in environ.items() if name.lower() == f"npm_config_{key}" and value]


def fetch(file: IO[bytes]) -> None:
    """Download the package's tarball into a file.

    Raises
    ------
    ConfigurationError
        The registry does not answer, or not with the bytes of :data:`INTEGRITY`.
    """
    registry = find_registry(os.environ, configuration_files(os.environ))
    digest = hashlib.sha512()
    try:
        with requests.get(f"{registry}/{NAME}/-/app-{VERSION}.tgz", stream=True, timeout=(10, 60)) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
    except requests.RequestException as exc:
        # Not the exception's words: the registry's address may hold credentials.
        raise ConfigurationError(
            f"{NAME} {VERSION} cannot be fetched from npm's registry ({type(exc).__name__}): is it reachable from here,"
            " and named by npm_config_registry or an .npmrc?"
        ) from None
    if "sha512-" + base64.b64encode(digest.digest()).decode() != INTEGRITY:
        raise ConfigurationError(f"what the registry sent is not {NAME} {VERSION}: its SHA-512 is another")
    file.seek(0)
