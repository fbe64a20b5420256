"""Settings: everything wrong is told at once, and secrets are never shown."""

import pytest

from common.errors import SettingsError
from common.settings import (
    CommonSettings,
    base_url,
    choice,
    integer,
    load,
    location,
    number,
    option,
    settings,
    switch,
    words,
)

DATABASE = {
    "RPACS_POSTGRESQL_HOSTNAME": "db",
    "RPACS_POSTGRESQL_USERNAME": "someone",
    "RPACS_POSTGRESQL_PASSWORD": "correct horse",
    "RPACS_POSTGRESQL_DB_NAME": "research",
}


@settings
class Example(CommonSettings):
    """Settings with one more mandatory, numeric and secret variable."""

    workers: int = option("EXAMPLE_WORKERS", "How many work.", parse=integer(1, 8))
    key: str = option("EXAMPLE_KEY", "Signs things.", parse=choice("alpha", "beta"), secret=True, default="alpha")


def test_defaults_and_given_values():
    given = load(Example, DATABASE | {"EXAMPLE_WORKERS": "3"})
    assert (given.workers, given.key, given.database_port, given.log_record_time) == (3, "alpha", 5432, False)


def test_all_problems_are_reported_together():
    environ = {"RPACS_POSTGRESQL_PORT": "70000", "RPACS_LOG_LEVEL": "LOUD", "EXAMPLE_WORKERS": "many"}
    with pytest.raises(SettingsError) as caught:
        load(Example, environ)
    text = str(caught.value)
    assert len(caught.value.problems) == 7
    assert all(f"{name} is missing" in text for name in DATABASE)
    assert "RPACS_POSTGRESQL_PORT must be a whole number from 1 to 65535 (it is '70000')" in text
    assert "RPACS_LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL" in text
    assert "EXAMPLE_WORKERS must be a whole number from 1 to 8" in text


def test_a_malformed_secret_is_not_repeated():
    with pytest.raises(SettingsError) as caught:
        load(Example, DATABASE | {"EXAMPLE_WORKERS": "1", "EXAMPLE_KEY": "opensesame"})
    assert "EXAMPLE_KEY" in str(caught.value)
    assert "opensesame" not in str(caught.value)


def test_secrets_are_not_in_repr():
    assert "correct horse" not in repr(load(Example, DATABASE | {"EXAMPLE_WORKERS": "1"}))


def test_a_secret_from_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("from a file\n")
    environ = {**DATABASE, "RPACS_POSTGRESQL_PASSWORD": "", "RPACS_POSTGRESQL_PASSWORD_FILE": str(file)}
    assert load(CommonSettings, environ).database_password == "from a file"


def test_a_secret_file_that_is_not_there(tmp_path):
    environ = {**DATABASE, "RPACS_POSTGRESQL_PASSWORD": ""}
    with pytest.raises(SettingsError, match="RPACS_POSTGRESQL_PASSWORD_FILE cannot be read: No such file"):
        load(CommonSettings, environ | {"RPACS_POSTGRESQL_PASSWORD_FILE": str(tmp_path / "absent")})


def test_an_empty_variable_is_an_absent_one():
    assert load(CommonSettings, DATABASE | {"RPACS_LOG_LEVEL": ""}).log_level == "INFO"


@pytest.mark.parametrize(
    ("parse", "given", "expected"),
    [
        (switch, "YES", True),
        (switch, "no", False),
        (integer(0, 9), " 7 ", 7),
        (number(0, 1), "0.25", 0.25),
        (choice("plain", "json"), "JSON", "json"),
        (base_url, "http://orthanc:8042", "http://orthanc:8042"),
        (location, "s3://bucket/config/config.yaml", "s3://bucket/config/config.yaml"),
        (location, "/etc/rules.yaml", "/etc/rules.yaml"),
        (words, "a, b ,,c", ("a", "b", "c")),
    ],
)
def test_what_parsers_accept(parse, given, expected):
    assert parse(given) == expected


@pytest.mark.parametrize(
    ("parse", "given"),
    [
        (switch, "true"),
        (integer(0, 9), "10"),
        (integer(0, 9), "1_0"),
        (number(0, 1), "nan"),
        (number(0, 1), "x"),
        (choice("plain"), "xml"),
        (base_url, "http://orthanc:8042/"),
        (base_url, "orthanc:8042"),
        (base_url, "http://user:pass@orthanc"),
        (location, "s3://bucket"),
        (location, " "),
    ],
)
def test_what_parsers_refuse(parse, given):
    with pytest.raises(ValueError, match="must"):
        parse(given)
