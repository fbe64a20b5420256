"""De-identify files, folders, DICOMDIRs, ZIP archives and s3:// prefixes, without any server.

Results are written whole or not at all, under the relative paths of their originals. With PostgreSQL's settings in the
environment the mappings are kept there, as the workers keep them; without, they live in memory and end with the run.

Exit codes: 0 all done; 1 some files failed, and they are listed; 2 usage or rules are wrong, nothing was done.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from common.errors import ConfigurationError, ResearchPacsError
from common.log import silence_libraries
from common.settings import load
from common.storage import Storage, is_s3
from deidentifier.builder import DeidentifierBuilder
from deidentifier.offline.batch import Job, Result, memory_mappings, process_all
from deidentifier.offline.inputs import Input, find_inputs
from deidentifier.offline.report import Maps, Report, open_private
from deidentifier.offline.terminal import Lines, Terminal, terminal
from deidentifier.rules import Rules
from deidentifier.rules_file import load_rules
from deidentifier.settings import OfflineSettings, has_database


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files, folders, DICOMDIRs, ZIPs, s3://bucket/prefix")
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="where results go: a folder or s3://bucket/prefix"
    )
    parser.add_argument(
        "--rules", metavar="RULES.yaml", help="the rules; without, RPACS_DEFAULT_CONFIG_FILE or our own"
    )
    parser.add_argument("--workers", type=_positive, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--report", metavar="FILE.jsonl", help="write what each rule changed, a line per file")
    parser.add_argument("--show-values", action="store_true", help="file names and values stand in the report")
    parser.add_argument("--uid-map", metavar="FILE.csv", help="write old and new UIDs")
    parser.add_argument("--patient-map", metavar="FILE.csv", help="write old and new Patient IDs")
    parser.add_argument("--rename", action="store_true", help="name results after their new SOP Instance UID")
    parser.add_argument("--preview", metavar="DIR", help="draw pixels before (with boxes) and after as PNG")
    parser.add_argument("--diff", action="store_true", help="print before and after, element by element, with values")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1 on")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """De-identify everything; print what failed."""
    silence_libraries()
    settings = load(OfflineSettings)
    storage = Storage(endpoint=settings.s3_endpoint, region=settings.aws_region)
    job, rules = _make_job(arguments, settings, storage)
    inputs = _find(arguments, storage, settings.max_inflated_bytes)
    lines = Lines()
    states: Counter[str] = Counter()
    with ExitStack() as stack:
        mappings = None
        if not has_database():
            lines.tell("Without settings of PostgreSQL, mappings live in memory and end with this run.")
            mappings = stack.enter_context(memory_mappings(arguments.workers))
        report = None
        if arguments.report:
            file = stack.enter_context(_open(arguments.report))
            report = Report(file, show_values=arguments.show_values)
        maps = stack.enter_context(Maps(arguments.uid_map, arguments.patient_map))
        shown = stack.enter_context(terminal(len(inputs)))
        for result in process_all(job, inputs, mappings, arguments.workers, rules):
            shown.advance()
            states[result.state] += 1
            maps.add(result)
            if report:
                report.add(result)
            _tell(result, shown, diff=arguments.diff)
    lines.tell(", ".join(f"{states[state]} {state}" for state in ("deidentified", "discarded", "failed")))
    return 1 if states["failed"] else 0


def _make_job(arguments: argparse.Namespace, settings: OfflineSettings, storage: Storage) -> tuple[Job, Rules]:
    """Read and check the rules before anything else; a bad file raises with every problem of it."""
    name = arguments.rules or settings.rules
    try:
        data = storage.read(name)
    except ResearchPacsError as exc:
        raise ConfigurationError(f"{name}: {exc}") from exc
    rules = load_rules(data, name)
    for warning in rules.warnings:
        print(warning, file=sys.stderr)
    if arguments.workers > 1:
        DeidentifierBuilder(settings)  # what is wrong with the settings is told here, not by processes that die of it
    job = Job(
        rules=data,
        rules_name=name,
        output=arguments.output,
        settings=settings,
        rename=arguments.rename,
        preview=arguments.preview or "",
        report=bool(arguments.report),
        compare=bool(arguments.diff or arguments.uid_map or arguments.patient_map or arguments.show_values),
    )
    return job, rules


def _find(arguments: argparse.Namespace, storage: Storage, max_inflated: int) -> list[Input]:
    """Find the inputs; results may not land among them, or a second run would take them for originals."""
    inputs: list[Input] = []
    for path in arguments.paths:
        if _is_inside(arguments.output, path):
            raise ConfigurationError(f"--output {arguments.output} lies inside {path}")
        try:
            inputs += find_inputs([path], storage, max_inflated)
        except ResearchPacsError as exc:
            raise ConfigurationError(f"{path}: {exc}") from exc
    return inputs


def _is_inside(output: str, path: str) -> bool:
    if is_s3(output) != is_s3(path):
        return False
    if is_s3(output):
        return f"{output.rstrip('/')}/".startswith(f"{path.rstrip('/')}/")
    return Path(os.path.realpath(output)).is_relative_to(os.path.realpath(path))


def _open(path: str) -> IO[str]:
    try:
        return open_private(path)
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be written: {exc.strerror}") from exc


def _tell(result: Result, shown: Terminal, *, diff: bool) -> None:
    """Print a failure, or what changed; this is the terminal of who may see it."""
    if result.error:
        code, message = result.error
        shown.tell(f"failed: {result.number} {result.source}: {code}: {message}")
    elif diff and result.state == "deidentified":
        print(f"{result.number} {result.source}")
        print(*(f"  {change}" for change in result.changes), sep="\n")
