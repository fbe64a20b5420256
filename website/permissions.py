"""Who may see, download and export what: the permissions file, as query trees.

Every page, download, export and DICOMweb answer combines its query with the tree of the action it performs
(:class:`Access`); nothing else in the portal decides what somebody may see.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from common.errors import PermissionsError, Problem
from common.query import EVERYTHING, NOTHING, Node, all_of, any_of, parse
from common.storage import Storage, WatchedFile
from common.yaml_file import Report, parse_yaml
from common.yaml_kinds import INVALID, ListOf, Switch, Text
from common.yaml_records import Field, Record, TableOf, Values
from website.path_patterns import PathPattern, parse_pattern

logger = logging.getLogger(__name__)

ACTIONS = ("see", "download", "export", "store", "orthanc")
"""What an API token may carry."""


@dataclass(frozen=True)
class Profile:
    """One profile; ``filter`` is what it lets see, ``filter_text`` as written."""

    name: str
    description: str
    filter: Node
    filter_text: str = ""
    allow: tuple[PathPattern, ...] = ()
    deny: tuple[PathPattern, ...] = ()
    admin: bool = False
    export: bool = True
    download: bool = True
    store: bool = False
    destinations: tuple[str, ...] = ()

    def lets_pass(self, method: str, path: str) -> bool:
        """Tell whether a request to Orthanc passes by this profile; ``path`` is normalised."""
        allowed = any(pattern.matches(method, path) for pattern in self.allow)
        return allowed and not any(pattern.matches(method, path) for pattern in self.deny)


@dataclass(frozen=True)
class Access:
    """What one user may do. Actions add up over the profiles that allow them.

    Attributes
    ----------
    see, download, export
        The instances that each action may touch, as query trees; ``NOTHING`` where the action is not allowed.
    """

    user: str
    groups: frozenset[str]
    profiles: tuple[Profile, ...]
    see: Node = NOTHING
    download: Node = NOTHING
    export: Node = NOTHING
    store: bool = False
    admin: bool = False
    destinations: frozenset[str] = frozenset()
    orthanc_profiles: tuple[Profile, ...] = field(default=(), repr=False)

    def may(self, action: str) -> bool:
        """Tell whether an action is allowed at all, on whatever instances."""
        if action in ("see", "download", "export"):
            return bool(getattr(self, action) != NOTHING)
        if action == "orthanc":
            return bool(self.orthanc_profiles)
        return {"store": self.store, "admin": self.admin, "login": True}[action]

    def orthanc(self, method: str, path: str) -> bool:
        """Tell whether a request to Orthanc passes: some profile allows it and does not deny it itself."""
        return any(profile.lets_pass(method, path) for profile in self.orthanc_profiles)

    def restricted_to(self, actions: Iterable[str]) -> Access:
        """Return what is left of this access under an API token that carries some actions only."""
        kept = set(actions)
        return replace(
            self,
            see=self.see if "see" in kept else NOTHING,
            download=self.download if "download" in kept else NOTHING,
            export=self.export if "export" in kept else NOTHING,
            store=self.store and "store" in kept,
            admin=False,
            destinations=self.destinations if "export" in kept else frozenset(),
            orthanc_profiles=self.orthanc_profiles if "orthanc" in kept else (),
        )

    def within(self, node: Node) -> Access:
        """Return what is left of this access where only some instances are concerned, and only reading."""
        read = self.restricted_to(("see", "download"))
        return replace(read, see=all_of([node, read.see]), download=all_of([node, read.download]))


@dataclass(frozen=True)
class Rule:
    """One entry of ``Permissions``."""

    users: frozenset[str]
    groups: frozenset[str]
    profiles: tuple[str, ...]

    def holds_for(self, user: str, groups: frozenset[str]) -> bool:
        """Tell whether the entry is about this user."""
        return user in self.users or bool(self.groups & groups)


@dataclass(frozen=True)
class Permissions:
    """A permissions file that loaded."""

    profiles: dict[str, Profile]
    rules: tuple[Rule, ...]
    warnings: tuple[Problem, ...] = ()

    def access(self, user: str, groups: Iterable[str]) -> Access:
        """Return what a user may do; nothing without a profile."""
        owned = frozenset(groups)
        names = {name for rule in self.rules if rule.holds_for(user, owned) for name in rule.profiles}
        profiles = tuple(self.profiles[name] for name in sorted(names))
        return Access(
            user,
            owned,
            profiles,
            see=any_of(profile.filter for profile in profiles),
            download=any_of(profile.filter for profile in profiles if profile.download),
            export=any_of(profile.filter for profile in profiles if profile.export),
            store=any(profile.store for profile in profiles),
            admin=any(profile.admin for profile in profiles),
            destinations=frozenset(name for profile in profiles if profile.export for name in profile.destinations),
            orthanc_profiles=tuple(profile for profile in profiles if profile.allow),
        )


def load_permissions(text: str | bytes, file: str = "permissions.yaml") -> Permissions:
    """Read a permissions file.

    Raises
    ------
    PermissionsError
        Lists everything that is wrong, with line and column.
    """
    report = Report(file)
    node = parse_yaml(text, report)
    if node is None and not report.errors:
        report.error(None, "the file is empty")
    values: Any = _FILE.read(node, report) if node is not None else INVALID
    if report.errors or values is INVALID:
        raise PermissionsError(report.problems)
    profiles = {name: _profile(name, each) for name, each in values["Profiles"].items()}
    rules = tuple(_rule(each) for each in values["Permissions"])
    return Permissions(profiles, rules, tuple(report.warnings))


class PermissionsFile(WatchedFile[Permissions]):
    """The file in force, read again within 10 s of a change; a bad edit never takes effect, and is logged."""

    def __init__(self, location: str, storage: Storage) -> None:
        name = location.rsplit("/", 1)[-1]
        super().__init__(location, lambda data: load_permissions(data, name), storage=storage)
        self._logged: tuple[str, str] = (self.version, "")

    @property
    def value(self) -> Permissions:
        """The last good permissions."""
        permissions = super().value
        state = (self.version, str(self.error or ""))
        if state != self._logged:
            self._logged = state
            if self.error is not None:
                logger.error("the permissions file does not load; the last good one stays in force:\n%s", self.error)
            else:
                logger.info("the permissions file was loaded", extra={"version": self.version})
        return permissions


def _filter(text: str) -> tuple[str, Node]:
    """Parse a ``DICOMQueryFilter``; the empty query matches everything, which a filter must not do by accident."""
    node = parse(text)
    if node == EVERYTHING:
        raise ValueError("expected a query, found an empty one (leave the key out to give access to every instance)")
    return text.strip(), node


def _check_profile(values: Values, report: Report) -> None:
    filtered, patterns = (key in values.node.entries for key in ("DICOMQueryFilter", "OrthancPathPatterns"))
    if filtered and patterns:
        report.error(values.at("DICOMQueryFilter"), "DICOMQueryFilter or OrthancPathPatterns, not both")
    for key in ("Download", "Export"):
        if patterns and values[key] is False:
            # Orthanc hands out files to whoever reaches it.
            report.error(values.at(key), f"{key}: false cannot stand with OrthancPathPatterns")
    if values["Destinations"] and values["Export"] is False:
        report.error(values.at("Destinations"), "Destinations cannot stand with Export: false")


def _check_rule(values: Values, report: Report) -> None:
    if not values["Users"] and not values["Groups"]:
        report.error(values.node, "at least one of Users and Groups is needed")


def _check_file(values: Values, report: Report) -> None:
    """Every profile that is named must exist: a misspelt name must not silently give less, or later more."""
    if values["Profiles"] is INVALID or values["Permissions"] is INVALID:
        return
    known = set(values.node.entries["Profiles"][1].entries)  # type: ignore[attr-defined]  # a mapping, as it was read
    for rule in values["Permissions"]:
        for node in rule.items_at("Profiles"):
            name = getattr(node, "text", "")
            if name not in known:
                report.error(node, f"there is no profile {name}")


_names = ListOf(Text(), single=True)
_patterns = ListOf(Text(parse=parse_pattern, expected="a pattern (VERB /path)"), single=True)
_PATTERNS = Record(
    (
        Field("Allow", _patterns, "Requests that pass.", default=()),
        Field("Deny", _patterns, "Requests that do not pass by this profile, whatever it allows.", default=()),
    )
)
_PROFILE = Record(
    (
        Field("Description", Text(empty=True), "Shown to the user.", default=""),
        Field("OrthancPathPatterns", _PATTERNS, "Direct access to Orthanc; implies access to every instance."),
        Field("DICOMQueryFilter", Text(parse=_filter, expected="a query"), "Instances that the profile gives."),
        Field("Admin", Switch(), "The administrators' pages.", default=False),
        Field("Download", Switch(), "DICOM files, ZIPs, API tokens, DICOMweb.", default=True),
        Field("Export", Switch(), "Exports.", default=True),
        Field("Store", Switch(), "Storing instances through DICOMweb (STOW-RS).", default=False),
        Field("Destinations", _names, "Export destinations that the profile may use.", default=()),
    ),
    check=_check_profile,
)
_RULE = Record(
    (
        Field("Users", _names, "User names.", default=()),
        Field("Groups", _names, "Groups.", default=()),
        Field("Profiles", _names, "Profiles that they get.", mandatory=True),
    ),
    check=_check_rule,
)
_FILE = Record(
    (
        Field("Profiles", TableOf(_PROFILE), "Profiles by name.", mandatory=True),
        Field("Permissions", ListOf(_RULE), "Who gets which profiles.", mandatory=True),
    ),
    check=_check_file,
)
SCHEMA: Callable[[], dict[str, object]] = _FILE.schema
"""The JSON Schema of the file."""


def _profile(name: str, values: Values) -> Profile:
    patterns = values["OrthancPathPatterns"]
    text, node = values["DICOMQueryFilter"] or ("", EVERYTHING)
    if values["Admin"] and not text and patterns is None:
        node = NOTHING  # an administrator of the portal is not thereby a reader of images
    return Profile(
        name,
        values["Description"],
        node,
        text,
        allow=patterns["Allow"] if patterns else (),
        deny=patterns["Deny"] if patterns else (),
        admin=values["Admin"],
        export=values["Export"],
        download=values["Download"],
        store=values["Store"],
        destinations=values["Destinations"],
    )


def _rule(values: Values) -> Rule:
    return Rule(frozenset(values["Users"]), frozenset(values["Groups"]), values["Profiles"])
