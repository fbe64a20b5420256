"""Logs: plain or JSON by setting, and no value of an element in either."""

import io
import json
import logging
import sys
import warnings

import pydicom
import pytest
from pydicom.dataset import Dataset

from common import log
from common.errors import InvalidDicomError
from common.settings import CommonSettings, load

MARKED = "MARKED^IDENTIFIER"


@pytest.fixture
def configure():
    """Give a function that configures the log as a process does, and returns what receives it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def configure(**variables):
        environ = {
            "RPACS_POSTGRESQL_HOSTNAME": "h",
            "RPACS_POSTGRESQL_USERNAME": "u",
            "RPACS_POSTGRESQL_PASSWORD": "p",
            "RPACS_POSTGRESQL_DB_NAME": "d",
        }
        log.configure(load(CommonSettings, environ | variables))
        stream = io.StringIO()
        root.handlers[0].setStream(stream)
        return stream

    with warnings.catch_warnings():
        yield configure
    root.handlers[:], root.level = handlers, level


@pytest.fixture(params=["plain", "json"])
def stream(request, configure):
    return configure(RPACS_LOG_FORMAT=request.param, RPACS_LOG_LEVEL="DEBUG")


def test_plain_lines(configure):
    stream = configure()
    logging.getLogger("x").info("De-identified", extra={"task": 7})
    assert stream.getvalue() == "INFO De-identified task=7\n"


def test_json_lines(configure):
    stream = configure(RPACS_LOG_FORMAT="json")
    logging.getLogger("x").info("De-identified", extra={"task": 7})
    assert json.loads(stream.getvalue()) == {"levelname": "INFO", "message": "De-identified", "task": 7}


def test_time_and_function_by_setting(configure):
    stream = configure(RPACS_LOG_FORMAT="json", RPACS_LOG_RECORD_TIME="yes", RPACS_LOG_FUNCTION_NAME="yes")
    logging.getLogger("x").info("x")
    line = json.loads(stream.getvalue())
    assert line["asctime"]
    assert line["funcName"] == "test_time_and_function_by_setting"


def test_the_level_is_a_setting(configure):
    stream = configure(RPACS_LOG_LEVEL="ERROR")
    logging.getLogger("x").warning("not this")
    assert stream.getvalue() == ""


def test_a_librarys_exception_leaves_frames_and_class_only(stream):
    try:
        raise ValueError(f"could not convert {MARKED!r}")
    except ValueError:
        logging.getLogger("x").exception("Failed", extra={"task": 7})
    assert "ValueError" in stream.getvalue()
    assert "test_log.py" in stream.getvalue()
    assert MARKED not in stream.getvalue()


def test_our_own_message_is_kept_and_its_cause_is_not(stream):
    try:
        try:
            int(MARKED)
        except ValueError as exc:
            raise InvalidDicomError("(0020,0013) is no number") from exc
    except InvalidDicomError:
        logging.getLogger("x").exception("Failed")
    assert "(0020,0013) is no number" in stream.getvalue()
    assert "caused by" in stream.getvalue()
    assert MARKED not in stream.getvalue()


def test_libraries_that_quote_values_are_silent(stream, capfd):
    dataset = Dataset()
    dataset.add_new(0x00080020, "DA", MARKED)  # no date: pydicom warns with the value
    dataset.add_new(0x00200013, "IS", "1")
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=True, little_endian=True)
    buffer.seek(0)
    read = pydicom.dcmread(buffer, force=True)
    str(read)
    logging.getLogger("pydicom").error("the value %s", MARKED)
    logging.getLogger("urllib3.connectionpool").debug("GET /patients/%s", MARKED)
    logging.getLogger("botocore").info("PUT %s", MARKED)
    captured = capfd.readouterr()
    assert MARKED not in stream.getvalue() + captured.out + captured.err


def test_tokens_are_cut_out_of_every_line(capsys) -> None:
    """A web server's own loggers, too: they write the address of a request that failed, and a link is an address."""
    token = "rpacs_link_" + "x" * 43
    assert log.cut_secrets(f"GET /dicom-web/links/{token}/studies?t={token}") == (
        "GET /dicom-web/links/rpacs_…/studies?t=rpacs_…"
    )
    assert log.cut_secrets("rpacs_website rpacs_migrate") == "rpacs_website rpacs_migrate"
    server = logging.getLogger("a.web.server")
    server.propagate = False
    server.addHandler(logging.StreamHandler(sys.stderr))
    log.protect("a.web.server")
    server.error("Error handling request %s", f"/dicom-web/links/{token}")
    assert capsys.readouterr().err == "Error handling request /dicom-web/links/rpacs_…\n"
