"""``python -m deidentifier check`` as a process."""

import os
import subprocess
import sys

import pytest

from deidentifier.settings import DEFAULT_RULES

GOOD = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations: []\n"


@pytest.fixture
def check(root, tmp_path):
    def run(text=None, *arguments, **environ):
        path = tmp_path / "rules.yaml"
        if text is not None:
            path.write_text(text)
        command = [sys.executable, "-m", "deidentifier", "check", *(arguments or [str(path)])]
        environ = {"PATH": os.environ["PATH"], **environ}
        return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=60)

    return run


def test_good_rules_exit_0_and_are_told_by_their_digest(check):
    done = check(GOOD)
    assert done.returncode == 0
    assert "no errors (SHA-256 " in done.stdout
    assert "warning: no confidentiality profile is in force" in done.stdout
    assert done.stderr == ""


def test_bad_rules_exit_1_with_every_problem(check, tmp_path):
    done = check("Label: []\nScopeToForward: {Labels: CT}\nTransformations: [{Scop: {}}]\n")
    assert done.returncode == 1
    path = tmp_path / "rules.yaml"
    assert done.stdout.splitlines() == [
        f"{path}:1:1: Label: unknown key (did you mean Labels?)",
        f"{path}:1:1: Labels is missing",
        f"{path}:3:19: Scope is missing",
        f"{path}:3:20: Scop: unknown key (did you mean Scope?)",
    ]


def test_a_file_that_cannot_be_read_exits_2(check):
    done = check(None)
    assert done.returncode == 2
    assert "rules.yaml" in done.stderr


def test_wrong_usage_and_wrong_settings_exit_2(check):
    assert check(GOOD, "--no-such-option").returncode == 2
    done = check(GOOD, RPACS_MAX_INFLATED_BYTES="many")
    assert done.returncode == 2
    assert "RPACS_MAX_INFLATED_BYTES" in done.stderr


def test_the_rules_that_come_with_the_product_are_good(check):
    assert check(None, str(DEFAULT_RULES)).returncode == 0
