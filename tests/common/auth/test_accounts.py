"""The accounts file when it is not there, appears, and goes."""

import pytest

from common.auth.accounts import Accounts
from common.errors import ConfigurationError, UnauthenticatedError

PASSWORD = "correct horse battery"


def test_a_new_installation_has_no_accounts_and_takes_the_first_without_a_restart(tmp_path, caplog):
    running = Accounts(tmp_path / "accounts.yaml")
    assert running.read() == {}
    assert running.read() == {}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "users add" in caplog.text
    with pytest.raises(UnauthenticatedError):
        running.authenticate("rita", PASSWORD)
    Accounts(tmp_path / "accounts.yaml").add("rita", PASSWORD, ["readonly"])
    assert running.authenticate("rita", PASSWORD).groups == {"readonly"}


def test_without_the_file_nobody_is_let_in_any_more(tmp_path):
    accounts = Accounts(tmp_path / "accounts.yaml")
    accounts.add("rita", PASSWORD)
    assert accounts.authenticate("rita", PASSWORD)
    (tmp_path / "accounts.yaml").unlink()
    with pytest.raises(UnauthenticatedError):
        accounts.groups("rita")


def test_a_damaged_file_is_an_error_that_says_so(tmp_path):
    (tmp_path / "accounts.yaml").write_text("users: [rita]\n")
    with pytest.raises(ConfigurationError, match="accounts"):
        Accounts(tmp_path / "accounts.yaml").read()
