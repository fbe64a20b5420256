#!/usr/bin/env python3
"""Write Orthanc's configuration from the environment, then become Orthanc.

The image's entry point. Ends with exit code 2 and a line for each problem where a variable is missing or malformed;
else the process is replaced, so that Orthanc receives the signals of the container runtime.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import variables
from configuration import render

S3_FILES = Path("/s3-files")


def main() -> None:
    """Configure and start Orthanc; the arguments are the command, ``Orthanc`` by default."""
    try:
        values = variables.read()
        configuration = render(values)
        copy_s3_files(values)
    except variables.VariablesError as exc:
        print(exc, file=sys.stderr)
        sys.exit(2)
    file = Path(os.environ.get("RPACS_ORTHANC_CONFIGURATION", "/tmp/orthanc.json"))  # noqa: S108 - a tmpfs in the image
    write(configuration, file)
    os.environ["TCP_NODELAY"] = "1"  # dcmtk: without it C-STORE stalls 48 ms per instance
    if values["RPACS_S3_DICOM_AWS_REGION"]:
        os.environ.setdefault("AWS_REGION", values["RPACS_S3_DICOM_AWS_REGION"])
    command = sys.argv[1:] or ["Orthanc"]
    os.execvp(command[0], [*command, str(file)])  # noqa: S606 - that is what an entry point is for


def write(configuration: dict[str, Any], file: Path) -> None:
    """Write the configuration so that nobody else can read it: it holds passwords."""
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(configuration, stream, indent=2)


def copy_s3_files(values: dict[str, Any]) -> None:
    """Copy the configuration bucket's prefix (certificates and the like) to ``/s3-files``.

    Raises
    ------
    variables.VariablesError
        The bucket cannot be read.
    """
    if not values["RPACS_S3_CONFIG_BUCKET_NAME"]:
        return
    import boto3  # only where a bucket is set
    from botocore.exceptions import BotoCoreError, ClientError

    prefix = f"{values['RPACS_S3_CONFIG_KEY_PREFIX']}/".lstrip("/")
    client = boto3.client("s3", region_name=values["RPACS_S3_CONFIG_AWS_REGION"])
    try:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=values["RPACS_S3_CONFIG_BUCKET_NAME"], Prefix=prefix
        )
        for key in (entry["Key"] for page in pages for entry in page.get("Contents", [])):
            target = (S3_FILES / key.removeprefix(prefix)).resolve()
            if key.endswith("/") or not target.is_relative_to(S3_FILES):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(values["RPACS_S3_CONFIG_BUCKET_NAME"], key, str(target))
            target.chmod(0o600)
    except (BotoCoreError, ClientError) as exc:
        raise variables.VariablesError(f"RPACS_S3_CONFIG_BUCKET_NAME cannot be read: {type(exc).__name__}") from exc


if __name__ == "__main__":
    main()
