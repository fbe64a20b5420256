"""Check a permissions file; with --user or --groups, show what that user would get.

Problems are reported with their line, exit code 2; otherwise the profiles, filters and paths are printed.
"""

from __future__ import annotations

import argparse
import os

from common.command_line import DONE
from common.query import NOTHING, describe
from common.settings import words
from common.storage import Storage
from website.permissions import Access, Permissions, load_permissions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", help="the permissions file: a path or s3://bucket/key")
    parser.add_argument("--user", default="", help="a user name")
    parser.add_argument("--groups", default="", help="the user's groups, separated by commas")


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    storage = Storage(endpoint=os.environ.get("RPACS_S3_ENDPOINT", ""), region=os.environ.get("AWS_REGION", ""))
    permissions = load_permissions(storage.read(arguments.file), arguments.file)
    for warning in permissions.warnings:
        print(warning)
    if arguments.user or arguments.groups:
        _print_access(permissions.access(arguments.user, words(arguments.groups)))
    else:
        _print_summary(permissions)
    return DONE


def _print_summary(permissions: Permissions) -> None:
    print(f"{len(permissions.profiles)} profiles, {len(permissions.rules)} permissions, no errors")


def _print_access(access: Access) -> None:
    print(f"profiles: {', '.join(profile.name for profile in access.profiles) or 'none'}")
    for action in ("see", "download", "export"):
        node = getattr(access, action)
        print(f"{action}: {'nothing' if node == NOTHING else describe(node)}")
    print(f"store: {'yes' if access.store else 'no'}")
    print(f"administrator: {'yes' if access.admin else 'no'}")
    print(f"export destinations: {', '.join(sorted(access.destinations)) or 'none'}")
    for profile in access.orthanc_profiles:
        for word, patterns in (("allow", profile.allow), ("deny", profile.deny)):
            for pattern in patterns:
                print(f"orthanc, {profile.name}: {word} {pattern.text}")
