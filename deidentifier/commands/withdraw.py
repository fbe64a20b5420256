"""Withdraw the consent of patients: delete their research instances, erase their mappings, and take nothing more.

Log in as the role that owns the schema. The research SOP Instance UIDs of what was deleted are written to a file,
before the mappings go: `python -m website exports --holding FILE` lists the exports that held them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from common.database import Database
from common.errors import ConfigurationError
from common.orthanc import Orthanc
from common.settings import load
from deidentifier.offline.report import open_private
from deidentifier.settings import WithdrawSettings
from deidentifier.withdrawal import REFRESH_SECONDS, Withdrawal, Withdrawals, normal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--patients", type=Path, required=True, metavar="FILE", help="Patient IDs, one a line")
    parser.add_argument("--output", required=True, metavar="FILE", help="research UIDs of what was deleted")
    help_ = "Patient IDs that differ in case alone are one patient's: where the rules have IgnoreCase"
    parser.add_argument("--ignore-case", action="store_true", help=help_)


def run(arguments: argparse.Namespace) -> int:
    """Block, delete, look again for what was on its way, erase; 1 where a patient may have been missed."""
    settings = load(WithdrawSettings)
    if not settings.withdrawal_key:
        raise ConfigurationError(
            "RPACS_WITHDRAWAL_KEY is not set: without it nothing would keep patients from re-entry"
        )
    patients = list(dict.fromkeys(normal(line) for line in arguments.patients.read_text().splitlines() if line.strip()))
    database = Database.from_settings(settings, application="deidentifier-withdraw", max_connections=1)
    research = Orthanc(settings.destination_url, settings.destination_username, settings.destination_password)
    withdrawals = Withdrawals(database, settings.withdrawal_key)
    work = Withdrawal(database, research, withdrawals, ignore_case=arguments.ignore_case)
    deleted: dict[str, list[tuple[str, ...]]] = {patient: [] for patient in patients}
    for patient in patients:
        work.block(patient)
    otherwise = sum(map(work.is_known_in_lower_case, [] if arguments.ignore_case else patients))
    with open_private(arguments.output) as file:
        file.write("# SOP Instance UIDs of research instances that were deleted, as exports --holding takes them\n")
        for wait in (0.0, 2 * REFRESH_SECONDS):  # the second time, for what workers had begun before the block
            time.sleep(wait)
            for patient in patients:
                for uids in work.delete_instances(patient):
                    file.write(f"{uids[-1]}\n")
                    deleted[patient].append(uids)
    erased = sum(work.erase(patient, [uid for uids in each for uid in uids]) for patient, each in deleted.items())
    count = sum(map(len, deleted.values()))
    print(f"{len(patients)} patients withdrawn, {count} instances deleted, {erased} mappings erased")
    unknown = sum(not each for each in deleted.values())
    if unknown:
        print(f"of {unknown} patients no research instance was found", file=sys.stderr)
    if otherwise:
        print(
            f"of {otherwise} patients the Patient ID in lower case has a pseudonym: if the rules have IgnoreCase for "
            "PatientID, run this again with --ignore-case",
            file=sys.stderr,
        )
    return 1 if otherwise else 0
