"""The permissions file: what it means, what it refuses, and that nothing in it fails open."""

from __future__ import annotations

import subprocess

import pytest

from common.errors import PermissionsError
from common.query import EVERYTHING, NOTHING, match, parse
from common.storage import Storage
from website.permissions import PermissionsFile, load_permissions
from website.settings import DEFAULT_PERMISSIONS

FILE = """
Profiles:
  All: {Description: everything}
  Ct: {DICOMQueryFilter: Modality StrEquals CT}
  Mr: {DICOMQueryFilter: "Modality StrEquals MR OR Modality StrEquals PT"}
  ViewUs: {DICOMQueryFilter: Modality StrEquals US, Download: false, Export: false}
  ExportCr: {DICOMQueryFilter: Modality StrEquals CR, Download: false, Destinations: lake}
  Store: {DICOMQueryFilter: Modality StrEquals XX, Store: true}
  Admin: {Admin: true}
  AdminCt: {Admin: true, DICOMQueryFilter: Modality StrEquals CT}
  Orthanc: {OrthancPathPatterns: {Allow: "GET /studies/**"}}
  DenyOnly: {OrthancPathPatterns: {Deny: "GET /studies/**"}}
Permissions:
"""


class _Series:
    def __init__(self, modality):
        self.modality = modality

    def values(self, _path):
        return [self.modality]


def _access(*profiles, user="alice", groups=()):
    rule = f"  - {{Users: alice, Profiles: [{', '.join(profiles)}]}}\n" if profiles else "  []\n"
    return load_permissions(FILE + rule).access(user, groups)


def _sees(node):
    return {name for name in ("CT", "MR", "PT", "US", "CR", "XX", "OT") if match(node, _Series(name))}


ALL = {"CT", "MR", "PT", "US", "CR", "XX", "OT"}


@pytest.mark.parametrize(
    ("profiles", "see", "download", "export"),
    [
        ((), set(), set(), set()),
        (("All",), ALL, ALL, ALL),
        (("Ct",), {"CT"}, {"CT"}, {"CT"}),
        (("Ct", "Mr"), {"CT", "MR", "PT"}, {"CT", "MR", "PT"}, {"CT", "MR", "PT"}),
        (("ViewUs",), {"US"}, set(), set()),
        (("Ct", "ViewUs"), {"CT", "US"}, {"CT"}, {"CT"}),
        (("Ct", "ViewUs", "ExportCr"), {"CT", "US", "CR"}, {"CT"}, {"CT", "CR"}),
        (("Ct", "All"), ALL, ALL, ALL),
        (("Admin",), set(), set(), set()),
        (("AdminCt",), {"CT"}, {"CT"}, {"CT"}),
        (("Admin", "Ct"), {"CT"}, {"CT"}, {"CT"}),
        (("Orthanc",), ALL, ALL, ALL),
        (("DenyOnly",), ALL, ALL, ALL),
    ],
)
def test_profiles_add_up_for_each_action(profiles, see, download, export):
    access = _access(*profiles)
    assert (_sees(access.see), _sees(access.download), _sees(access.export)) == (see, download, export)
    assert access.may("see") == bool(see)
    assert access.may("download") == bool(download)
    assert access.may("export") == bool(export)


def test_other_rights():
    assert _access("Admin").admin
    assert not _access("All").admin
    assert _access("Store").store
    assert not _access("All").store
    assert _access("ExportCr", "Ct").destinations == {"lake"}
    assert not _access("All").may("orthanc")
    assert not _access("DenyOnly").may("orthanc")
    assert _access("Orthanc").orthanc("GET", "/studies/1")
    assert not _access("Orthanc").orthanc("POST", "/studies/1")


def test_who_is_meant():
    text = FILE + "  - {Users: [alice, bob], Groups: ct, Profiles: Ct}\n  - {Groups: [mr, x], Profiles: Mr}\n"
    permissions = load_permissions(text)
    assert _sees(permissions.access("bob", []).see) == {"CT"}
    assert _sees(permissions.access("carol", ["ct"]).see) == {"CT"}
    assert _sees(permissions.access("carol", ["ct", "mr"]).see) == {"CT", "MR", "PT"}
    assert permissions.access("ct", []).see == NOTHING  # a user named as a group
    assert permissions.access("Alice", ["CT"]).see == NOTHING


@pytest.mark.parametrize(
    ("profile", "place", "words"),
    [
        ("DICOMQueryFiltr: Modality StrEquals CT", "4:5", "did you mean DICOMQueryFilter"),
        ("DICOMQueryFilter: Modality StrEquals CT\n    OrthancPathPatterns: {Allow: ANY **}", "4:23", "not both"),
        ("DICOMQueryFilter: ''", "4:23", "empty"),
        ("DICOMQueryFilter: '  '", "4:23", "empty"),
        ("DICOMQueryFilter:", "4:22", "found nothing"),
        ("DICOMQueryFilter: [Modality StrEquals CT]", "4:23", "found a list"),
        ("DICOMQueryFilter: Modalty StrEquals CT", "4:23", "did you mean Modality"),
        ("DICOMQueryFilter: Modality StrEqual CT", "4:32", "did you mean StrEquals"),
        ("OrthancPathPatterns:", "4:25", "found nothing"),
        ("OrthancPathPatterns: {Alow: ANY **}", "4:27", "did you mean Allow"),
        ("OrthancPathPatterns: {Allow: /studies}", "4:34", "expected a method"),
        ("OrthancPathPatterns: {Allow: ANY **}\n    Download: false", "5:15", "cannot stand with"),
        ("OrthancPathPatterns: {Allow: ANY **}\n    Export: no", "5:13", "cannot stand with"),
        ("Download: maybe", "4:15", "true or false"),
        ("Export: false\n    Destinations: lake", "5:19", "Destinations"),
        ("Admin: 'true'", "4:12", "true or false"),
        ("Description: a\n    Description: b", "5:5", "second time"),
    ],
)
def test_nothing_fails_open(profile, place, words):
    text = f"Profiles:\n  # a profile\n  P:\n    {profile}\nPermissions:\n  - {{Groups: g, Profiles: P}}\n"
    with pytest.raises(PermissionsError) as caught:
        load_permissions(text, "p.yaml")
    assert f"p.yaml:{place}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("[]", "expected"),
        ("Profiles: {}", "Permissions is missing"),
        ("Permissions: []", "Profiles is missing"),
        ("Profiles: {P: {}}\nPermissions: [{Users: a, Profiles: Q}]", "no profile Q"),
        ("Profiles: {P: {}}\nPermissions: [{Profiles: P}]", "at least one of Users and Groups"),
        ("Profiles: {P: {}}\nPermissions: [{Users: [], Profiles: P}]", "at least one of Users and Groups"),
        ("Profiles: {P: {}}\nPermissions: [{Users: a}]", "Profiles is missing"),
        ("Profiles: {P: {}}\nPermissions: [{User: a, Profiles: P}]", "did you mean Users"),
        ("Profiles: {P: }\nPermissions: []", "expected keys and values"),
        ("Profiles: {P: {}}\nPermission: []", "did you mean Permissions"),
    ],
)
def test_malformed_files(text, words):
    with pytest.raises(PermissionsError) as caught:
        load_permissions(text)
    assert words in str(caught.value)


def test_every_problem_is_reported_at_once():
    with pytest.raises(PermissionsError) as caught:
        load_permissions("Profiles: {P: {Admn: true, Download: x}}\nPermissions: [{Users: a, Profiles: Q}]")
    assert len(caught.value.problems) == 3


def test_filters_are_combined_as_trees():
    """In 1.0, ``A Exists) OR (B Exists`` balanced its parentheses and escaped the filter around it."""
    with pytest.raises(PermissionsError):
        load_permissions("Profiles: {P: {DICOMQueryFilter: 'Modality Exists) OR (Modality Exists'}}\nPermissions: []")


def test_the_shipped_default():
    permissions = load_permissions(DEFAULT_PERMISSIONS.read_text())
    admin, reader, none = (permissions.access("u", [group]) for group in ("admin", "readonly", "other"))
    assert admin.admin
    assert admin.orthanc("DELETE", "/patients/1")
    assert admin.see == EVERYTHING
    assert not reader.admin
    assert reader.see == EVERYTHING
    assert reader.orthanc("GET", "/studies/1/archive")
    for method, path in (
        ("DELETE", "/studies/1"), ("POST", "/instances"), ("POST", "/tools/shutdown"), ("POST", "/studies/1/modify"),
        ("PUT", "/instances/1/metadata/1024"), ("GET", "/tools/execute-script"), ("GET", "/modalities"),
    ):  # fmt: skip
        assert not reader.orthanc(method, path), path
    assert not any(none.may(action) for action in ("see", "download", "export", "store", "orthanc", "admin"))


def test_an_edit_takes_effect_and_a_bad_one_never_does(tmp_path):
    file = tmp_path / "permissions.yaml"
    file.write_text(FILE + "  - {Users: alice, Profiles: Ct}\n")
    watched = PermissionsFile(str(file), Storage())
    assert watched._interval == 10
    watched._interval = 0
    assert watched.value.access("alice", []).see == parse("Modality StrEquals CT")
    file.write_text(FILE + "  - {Users: alice, Profiles: Ctt}\n")
    assert watched.value.access("alice", []).see == parse("Modality StrEquals CT")
    assert "no profile Ctt" in str(watched.error)
    file.write_text(FILE + "  - {Users: alice, Profiles: All}\n")
    assert watched.value.access("alice", []).see == EVERYTHING
    assert watched.error is None


def test_a_bad_edit_is_shown_to_administrators_and_logged(portal, tmp_path, caplog):
    (tmp_path / "permissions.yaml").write_text("Profiles: {}")
    portal.services.permissions._interval = 0
    assert "Permissions is missing" in portal.client("admin").get("/users").text
    assert "Permissions is missing" in caplog.text


def _check(python, root, *arguments):
    command = [python, "-m", "website", "check-permissions", *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_the_command_shows_what_a_user_would_get(python, root, tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(FILE + "  - {Users: alice, Groups: ct, Profiles: [Ct, Orthanc, ExportCr]}\n")
    answer = _check(python, root, file, "--user", "bob", "--groups", "ct,x")
    assert answer.returncode == 0, answer.stderr
    assert "profiles: Ct, ExportCr, Orthanc" in answer.stdout
    assert "orthanc, Orthanc: allow GET /studies/**" in answer.stdout
    assert "export destinations: lake" in answer.stdout
    assert "see: nothing" in _check(python, root, file, "--user", "bob").stdout


def test_the_command_reports_problems_with_their_line(python, root, tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("Profiles:\n  P:\n    DICOMQueryFiltr: x\nPermissions: []\n")
    answer = _check(python, root, file)
    assert answer.returncode == 2
    assert f"{file}:3:5: DICOMQueryFiltr: unknown key" in answer.stderr
