"""Where an export goes: a bucket of the user's, by a role or by keys, or a destination that was set up for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from common.errors import ConfigurationError, RefusedError
from common.storage import Storage, WatchedFile
from common.yaml_file import Report, parse_yaml
from common.yaml_kinds import INVALID, OneOf, Switch, Text
from common.yaml_records import Field, Record, TableOf, Values
from website.exports.choices import switched_on
from website.exports.endpoints import Endpoints, check_region, normalise
from website.exports.keys import safe_name

KINDS: Mapping[str, str] = {
    "configured": "A destination set up for you",
    "role": "An AWS role that this portal takes on",
    "keys": "Access keys of the bucket",
}
STORAGE_CLASSES = (
    "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE",
)  # fmt: skip
_BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.'()/ =,+@-]*")
_ROLE = re.compile(r"arn:(aws|aws-cn|aws-us-gov):iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_KEY = re.compile(r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/[\w/-]+|alias/[\w/-]+|[0-9a-f-]{36})", re.ASCII)
_LONGEST_PREFIX = 256


@dataclass(frozen=True)
class Destination:
    """Where objects go and as whom; no secret is in it.

    Attributes
    ----------
    endpoint
        Normalised origin of an S3 server; empty for Amazon's.
    prefix
        Ends with ``/``; empty for the bucket's top.
    kms_key, storage_class, owner_full_control
        What each object is stored with (Amazon S3, PutObject).
    """

    kind: str
    bucket: str
    prefix: str = ""
    region: str = ""
    endpoint: str = ""
    name: str = ""
    role_arn: str = ""
    kms_key: str = ""
    storage_class: str = ""
    owner_full_control: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return what a job's row holds."""
        return asdict(self)

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}"


def read_destination(
    given: Mapping[str, Any], endpoints: Endpoints, configured: Mapping[str, Destination]
) -> Destination:
    """Read a destination from a form, a JSON document or a command line.

    Parameters
    ----------
    configured
        Those that this user may choose, by name.

    Raises
    ------
    RefusedError
        Something is missing, malformed, or not allowed.
    """
    kind, prefix = str(given.get("kind") or ""), read_prefix(str(given.get("prefix") or ""))
    if kind == "configured":
        found = configured.get(str(given.get("name") or ""))
        if found is None:
            raise RefusedError("choose one of the destinations that you may use")
        return replace(found, prefix=found.prefix + prefix)
    if kind not in KINDS:
        raise RefusedError(f"kind must be one of {', '.join(KINDS)}")
    endpoint = endpoints.check(str(given.get("endpoint") or ""))
    region = str(given.get("region") or "").strip()
    if not endpoint or region:
        check_region(region)
    role = str(given.get("role_arn") or "").strip()
    if kind == "role" and not _ROLE.fullmatch(role):
        raise RefusedError("role_arn must be arn:aws:iam::ACCOUNT:role/NAME")
    return Destination(
        kind,
        _matching(_BUCKET, given.get("bucket"), "bucket must be the name of a bucket: lower case letters, digits, -"),
        prefix,
        region,
        endpoint,
        role_arn=role if kind == "role" else "",
        kms_key=_matching(_KEY, given.get("kms_key"), "kms_key must be the ARN, alias or ID of a key", empty=True),
        storage_class=_storage_class(given.get("storage_class")),
        owner_full_control=switched_on(given.get("owner_full_control")),
    )


def read_prefix(text: str) -> str:
    """Return a prefix that ends with ``/``, or the empty one.

    Raises
    ------
    RefusedError
        It holds characters that S3 or file systems do not take well, or steps up.
    """
    prefix = text.strip().strip("/")
    steps = prefix.split("/")
    if not _PREFIX.fullmatch(prefix) or len(prefix) > _LONGEST_PREFIX or {".", ".."} & set(steps):
        raise RefusedError("prefix may hold letters, digits and !_.'()=,+@- in folders joined by /")
    if prefix and "" in steps:
        raise RefusedError("prefix has an empty folder name")
    return f"{prefix}/" if prefix else ""


def _matching(pattern: re.Pattern[str], value: Any, message: str, *, empty: bool = False) -> str:
    text = str(value or "").strip()
    if not (empty and not text) and not pattern.fullmatch(text):
        raise RefusedError(message)
    return text


def _storage_class(value: Any) -> str:
    if (text := str(value or "")) and text not in STORAGE_CLASSES:
        raise RefusedError(f"storage_class must be one of {', '.join(STORAGE_CLASSES)}")
    return text


# ------------------------------------------------------------------------------------------ the administrator's file
@dataclass(frozen=True)
class Configured:
    """A destination of the file; ``description`` is shown to users."""

    description: str
    destination: Destination

    def of_user(self, user: str) -> Destination:
        """Return it for a user: each has a folder there, so that nobody overwrites another's export."""
        return replace(self.destination, prefix=f"{self.destination.prefix}{safe_name(user)}/")


def load_destinations(text: str | bytes, file: str = "destinations.yaml") -> dict[str, Configured]:
    """Read the destinations file.

    Raises
    ------
    ConfigurationError
        Lists everything that is wrong, with line and column.
    """
    report = Report(file)
    node = parse_yaml(text, report)
    values: Any = _FILE.read(node, report) if node is not None else INVALID
    if report.errors or values is INVALID:
        raise ConfigurationError(report.problems or f"{file}: the file is empty")
    return {name: _configured(name, each) for name, each in values["Destinations"].items()}


class DestinationsFile:
    """The file in force, read again within 10 s of a change; without a file there are none."""

    def __init__(self, location: str, storage: Storage) -> None:
        name = location.rsplit("/", 1)[-1]
        self._file = (
            WatchedFile(location, lambda data: load_destinations(data, name), storage=storage) if location else None
        )

    @property
    def value(self) -> Mapping[str, Configured]:
        """Destinations by name."""
        return self._file.value if self._file is not None else {}

    def of_user(self, user: str, names: frozenset[str]) -> dict[str, Destination]:
        """Return those that a user may choose."""
        return {name: each.of_user(user) for name, each in self.value.items() if name in names}


def _parsed(check: Any) -> Any:
    """Let a check of ours speak as the file's kinds do."""

    def parse(text: str) -> Any:
        try:
            return check(text)
        except RefusedError as exc:
            raise ValueError(str(exc)) from None

    return parse


def _check(values: Values, report: Report) -> None:
    if not values["Endpoint"] and not values["Region"]:
        report.error(values.node, "Region is missing (only with an Endpoint it may be)")


_DESTINATION = Record(
    (
        Field("Description", Text(empty=True), "Shown to users.", default=""),
        Field("Bucket", Text(_parsed(lambda text: _matching(_BUCKET, text, "no name of a bucket"))), "The bucket.",
              mandatory=True),
        Field("Prefix", Text(_parsed(read_prefix), empty=True), "Below it, each user has a folder.", default=""),
        Field("Region", Text(_parsed(check_region)), "The bucket's region.", default=""),
        Field("Endpoint", Text(_parsed(normalise)), "Another S3 server than Amazon's.", default=""),
        Field("RoleArn", Text(_parsed(lambda text: _matching(_ROLE, text, "no ARN of a role"))),
              "A role to assume; without it, the workers' own credentials are used.", default=""),
        Field("KmsKey", Text(_parsed(lambda text: _matching(_KEY, text, "no KMS key"))), "Key that encrypts objects.",
              default=""),
        Field("StorageClass", OneOf(STORAGE_CLASSES), "Storage class of objects.", default=""),
        Field("BucketOwnerFullControl", Switch(), "Objects belong to the bucket's owner.", default=False),
    ),
    check=_check,
)  # fmt: skip
_FILE = Record((Field("Destinations", TableOf(_DESTINATION), "Destinations by name.", mandatory=True),))


def _configured(name: str, values: Values) -> Configured:
    destination = Destination(
        "configured",
        values["Bucket"],
        values["Prefix"],
        values["Region"],
        values["Endpoint"],
        name=name,
        role_arn=values["RoleArn"],
        kms_key=values["KmsKey"],
        storage_class=values["StorageClass"],
        owner_full_control=values["BucketOwnerFullControl"],
    )
    return Configured(values["Description"], destination)
