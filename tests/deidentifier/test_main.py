"""The command line's dispatcher."""

import argparse
import subprocess
import sys
import types

import pytest
from pydicom.data import get_testdata_file

from common.command_line import command_names, load_command
from common.errors import NotFoundError, Problem, RulesError
from deidentifier import __main__ as cli
from deidentifier import commands
from deidentifier.settings import DEFAULT_RULES


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Return a function that makes a command ``try-it`` which does what it is given."""

    def make(run):
        module = types.ModuleType("deidentifier.commands.try_it", "Try it.\n\nMore about it.")
        module.add_arguments = lambda parser: parser.add_argument("--n", type=int, default=0)
        module.run = run
        (tmp_path / "try_it.py").write_text("")
        monkeypatch.setattr(commands, "__path__", [str(tmp_path)])
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return make


def test_a_command_gets_its_arguments_and_gives_the_exit_code(command):
    command(lambda arguments: arguments.n)
    assert cli.main(["try-it", "--n", "7"]) == 7


def test_configuration_errors_are_listed_and_exit_2(command, capsys):
    def fail(arguments: argparse.Namespace) -> int:
        raise RulesError([Problem("r.yaml", 3, 4, "bad"), Problem("r.yaml", 5, 6, "worse")])

    command(fail)
    assert cli.main(["try-it"]) == 2
    assert capsys.readouterr().err == "r.yaml:3:4: bad\nr.yaml:5:6: worse\n"


def test_our_errors_are_one_line_and_exit_1(command, capsys):
    def fail(arguments: argparse.Namespace) -> int:
        raise NotFoundError

    command(fail)
    assert cli.main(["try-it"]) == 1
    assert capsys.readouterr().err == "NotFound: There is no such resource.\n"


def test_an_interrupt_is_no_traceback(command, capsys):
    def fail(arguments: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    command(fail)
    assert cli.main(["try-it"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_goes_away_is_no_traceback(root):
    # ``explain … | head``
    path = get_testdata_file("CT_small.dcm")
    command = [sys.executable, "-m", "deidentifier", "explain", "--rules", DEFAULT_RULES, path]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert process.returncode == 141
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["try-it", "--m"]])
def test_wrong_usage_exits_2(command, argv):
    command(lambda arguments: 0)
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2


def test_help_lists_the_commands_with_a_sentence(command, capsys):
    command(lambda arguments: 0)
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "try-it" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["try-it", "--help"])
    assert "More about it." in capsys.readouterr().out


def test_every_command_that_ships_can_be_loaded_and_has_help():
    for name in command_names(commands):
        module = load_command(commands, name)
        assert (module.__doc__ or "").strip(), name
        module.add_arguments(argparse.ArgumentParser())
        assert callable(module.run)
