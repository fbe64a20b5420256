"""The settings of the ingest side."""

import pytest

from common.errors import SettingsError
from common.settings import load
from deidentifier.settings import (
    DEFAULT_RULES,
    DeidentifierSettings,
    OfflineSettings,
    has_database,
    ignored_variables,
)

COMPLETE = {
    "RPACS_POSTGRESQL_HOSTNAME": "db",
    "RPACS_POSTGRESQL_USERNAME": "u",
    "RPACS_POSTGRESQL_PASSWORD": "secret-of-the-database",
    "RPACS_POSTGRESQL_DB_NAME": "d",
    "RPACS_SOURCE_ORTHANC_HOSTNAME": "http://source:8042",
    "RPACS_SOURCE_ORTHANC_USERNAME": "s",
    "RPACS_SOURCE_ORTHANC_PASSWORD": "secret-of-the-source",
    "RPACS_DESTINATION_ORTHANC_HOSTNAME": "https://research",
    "RPACS_DESTINATION_ORTHANC_USERNAME": "r",
    "RPACS_DESTINATION_ORTHANC_PASSWORD": "secret-of-the-destination",
}


def test_the_settings_of_version_1_are_enough():
    settings = load(DeidentifierSettings, COMPLETE | {"RPACS_DEFAULT_CONFIG_FILE": "s3://b/config/config.yaml"})
    assert settings.source_url == "http://source:8042"
    assert settings.destination_url == "https://research"
    assert settings.rules == "s3://b/config/config.yaml"
    assert settings.preserve_original_files is False
    assert settings.max_inflated_bytes == 4 << 30
    assert settings.task_lease_seconds == 120


def test_no_secret_is_shown():
    assert "secret-of" not in repr(load(DeidentifierSettings, COMPLETE))


def test_the_shipped_rules_are_the_default():
    assert load(DeidentifierSettings, COMPLETE).rules == str(DEFAULT_RULES)
    assert load(OfflineSettings, {}).rules == str(DEFAULT_RULES)


def test_everything_missing_is_named_at_once():
    with pytest.raises(SettingsError) as caught:
        load(DeidentifierSettings, {})
    assert all(name in str(caught.value) for name in COMPLETE)


def test_a_database_is_meant_when_any_of_its_settings_is_there():
    assert not has_database({"RPACS_LOG_LEVEL": "INFO", "RPACS_POSTGRESQL_PORT": ""})
    assert has_database({"RPACS_POSTGRESQL_PORT": "5433"})


def test_variables_of_the_former_message_queue_are_ignored_by_name():
    assert ignored_variables({"RPACS_SQS_URL": "x", "RPACS_LOG_LEVEL": "INFO"}) == ["RPACS_SQS_URL"]
