"""A file is sent by C-STORE, and a researcher finds its de-identified twin: the real processes, end to end."""

from __future__ import annotations

from urllib.parse import urlsplit

import pydicom.data
import pytest
import requests
from playwright.sync_api import Page

from demo.__main__ import complete
from demo.platform import RESEARCHER, Platform
from demo.servers.process import wait_until


def test_everything_is_accounted_for(platform, sent, research_files):
    assert complete(sent.stored, sent.counts), sent
    assert sent.stored == len(_sent_instances(platform))
    assert len(research_files) == sent.counts.deidentified


def _sent_instances(platform) -> list[str]:
    with platform.owner().transaction() as cursor:
        cursor.execute("SELECT subject FROM ingest.tasks WHERE kind = 'deidentify'")
        return [subject for (subject,) in cursor.fetchall()]


def test_originals_are_gone_once_they_have_arrived(platform, sent):
    def count() -> int:
        server = platform.source
        statistics = requests.get(f"{server.url}/statistics", auth=server.auth, timeout=10).json()
        return int(statistics["CountInstances"])

    wait_until(lambda: count() == 0, "an empty source Orthanc", seconds=30)


def test_kinds_of_images_arrive(research_files):
    datasets = [file.dataset for file in research_files]
    assert {"CT", "MR"} <= {dataset.get("Modality") for dataset in datasets}
    assert len({dataset.get("PatientID") for dataset in datasets}) > 10
    assert any(dataset.file_meta.TransferSyntaxUID.is_compressed for dataset in datasets)


@pytest.mark.parametrize("size", [1000, 5000, 30000])
def test_a_truncated_file_ends_with_a_class_of_error_and_stays(platform, sent, size):
    with open(pydicom.data.get_testdata_file("CT_small.dcm"), "rb") as file:
        data = file.read()[:size]
    server = platform.source
    answer = requests.post(f"{server.url}/instances", data=data, auth=server.auth, timeout=10)
    if answer.status_code == 400:
        return  # Orthanc itself says that this is no DICOM file: nothing was taken in
    instance = answer.json()["ID"]
    rows: list[tuple[str, str, str]] = []

    def ended() -> bool:
        with platform.owner().transaction() as cursor:
            cursor.execute(
                "SELECT state, error_code, error FROM ingest.tasks WHERE kind = 'deidentify' AND subject = %s"
                " AND state NOT IN ('queued', 'running') AND asked_at = (SELECT max(asked_at) FROM ingest.tasks)",
                (instance,),
            )
            rows[:] = cursor.fetchall()
        return bool(rows)

    wait_until(ended, "the end of the truncated file's task", seconds=60)
    ((state, code, message),) = rows
    assert (state, code) == ("failed", "InvalidDicom")
    assert "1CT1" not in message
    kept = requests.get(f"{server.url}/instances/{instance}", auth=server.auth, timeout=10)
    assert kept.status_code == 200


def test_what_is_not_dicom_is_refused_at_the_door(platform):
    server = platform.source
    answer = requests.post(f"{server.url}/instances", data=b"no DICOM " * 100, auth=server.auth, timeout=10)
    assert answer.status_code == 400


def log_in(page: Page, platform: Platform) -> None:
    page.goto(f"{platform.portal_url}/login")
    page.fill("input[name=name]", RESEARCHER)
    page.fill("input[name=password]", platform.state.researcher_password)
    page.click("main button[type=submit]")
    page.wait_for_selector("#q")


@pytest.mark.browser
def test_a_researcher_finds_the_twin_and_sees_its_picture(page, platform, sent, research_files):
    log_in(page, platform)
    page.fill("#q", "Modality StrEquals CT AND BodyPartExamined Exists OR Modality StrEquals MR")
    page.press("#q", "Enter")
    page.wait_for_url("**/search?**")
    page.locator("main a[href*='/studies/']").first.click()
    page.locator("main a[href*='/series/']").first.click()
    page.locator("main a[href*='/instances/']").first.click()
    page.wait_for_url("**/instances/**")
    page.wait_for_function("[...document.querySelectorAll('main img')].some(image => image.naturalWidth > 1)")
    instance = urlsplit(page.url).path.rsplit("/", 1)[-1]
    (file,) = [file for file in research_files if file.id == instance]
    assert str(file.dataset.SOPInstanceUID) in page.inner_text("main")
    answer = page.request.get(f"{platform.portal_url}/instances/{instance}.dcm")
    assert answer.body() == file.data
