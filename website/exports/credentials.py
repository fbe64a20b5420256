"""As whom an export writes: keys that the user typed, or a role that is assumed for this bucket and prefix alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.loaders import create_loader

from common.errors import RefusedError, StorageUnavailableError
from common.storage_errors import typed_errors
from website.exports.destinations import Destination
from website.exports.endpoints import Guard, guard_client, normalise, refusal_of_guard

KEYS_LIVE_HOURS = 12
_LOADER = create_loader()
_SESSION_SECONDS = 3600
_TEXT = re.compile(r"[\x21-\x7e]{1,4096}")


@dataclass(frozen=True)
class Keys:
    """Keys that a user typed; a session token with temporary ones. Never shown in ``repr``."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)

    def serialise(self) -> bytes:
        """Write them for sealing."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, data: bytes) -> Keys:
        """Read what :meth:`serialise` wrote."""
        return cls(**json.loads(data))


def read_keys(given: Mapping[str, Any]) -> Keys:
    """Read keys from a form or a JSON document.

    Raises
    ------
    RefusedError
        One is missing or holds what no key holds; never says what was given.
    """
    values = [str(given.get(name) or "").strip() for name in ("access_key", "secret_key", "session_token")]
    if not all(_TEXT.fullmatch(value) for value in values[:2]) or (values[2] and not _TEXT.fullmatch(values[2])):
        raise RefusedError("access_key and secret_key are needed, session_token with temporary keys: without blanks")
    return Keys(*values)


def session_policy(destination: Destination) -> str:
    """Return the policy that an assumed role is narrowed to: writing below the prefix, and no reading (IAM, JSON)."""
    partition = destination.role_arn.split(":")[1] if destination.role_arn else "aws"
    actions = ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload", "s3:DeleteObject"]
    place = f"arn:{partition}:s3:::{destination.bucket}/{destination.prefix}*"
    statements: list[dict[str, Any]] = [{"Effect": "Allow", "Action": actions, "Resource": place}]
    if destination.kms_key:
        key = destination.kms_key if destination.kms_key.startswith("arn:") and ":key/" in destination.kms_key else "*"
        via = {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}
        allowed = ["kms:GenerateDataKey", "kms:Decrypt"]
        statements.append({"Effect": "Allow", "Action": allowed, "Resource": key, "Condition": via})
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


class RoleSource:
    """Assumes roles with the process's own credentials.

    Parameters
    ----------
    endpoint
        ``RPACS_STS_ENDPOINT``: another STS than Amazon's; empty for Amazon's in the region.
    region
        Where STS is asked; the destination's where empty.
    """

    def __init__(self, endpoint: str = "", region: str = "") -> None:
        self._endpoint = normalise(endpoint) if endpoint else ""
        self._region = region

    def session(self, destination: Destination, external_id: str) -> boto3.Session:
        """Return a session whose credentials are those of the role, renewed before they expire.

        Raises
        ------
        RefusedError
            STS refuses: the role does not trust us with this external ID.
        StorageUnavailableError
            STS does not answer.
        """

        def refresh() -> dict[str, str]:
            return self._assume(destination, external_id)

        credentials = RefreshableCredentials.create_from_metadata(refresh(), refresh, "assume-role")
        return new_session(credentials)

    def _assume(self, destination: Destination, external_id: str) -> dict[str, str]:
        region = destination.region or self._region or "us-east-1"
        client = new_session().client(
            "sts",
            region_name=region,
            endpoint_url=self._endpoint or f"https://sts.{region}.{_domain(region)}",
            config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2}, proxies={}),
        )
        guard_client(client, Guard(self._endpoint))
        external: dict[str, Any] = {"ExternalId": external_id} if external_id else {}
        try:
            with typed_errors():
                answer = client.assume_role(
                    RoleArn=destination.role_arn,
                    RoleSessionName="research-pacs-export",
                    DurationSeconds=_SESSION_SECONDS,
                    Policy=session_policy(destination),
                    **external,
                )["Credentials"]
        except StorageUnavailableError as exc:
            raise refusal_of_guard(exc) or StorageUnavailableError("STS does not answer") from exc
        except RefusedError as exc:
            raise RefusedError(f"the role cannot be assumed: {exc}".replace("S3", "STS")) from exc
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def session_of(destination: Destination, keys: Keys | None, roles: RoleSource, external_id: str) -> boto3.Session:
    """Return the session that writes to a destination.

    Raises
    ------
    RefusedError
        The keys are gone, or the role cannot be assumed.
    """
    if destination.role_arn:
        return roles.session(destination, external_id)
    if destination.kind == "configured":
        return new_session()  # the process's own role or environment
    if keys is None:
        raise RefusedError("the keys were erased: enter them again")
    return new_session(Credentials(keys.access_key, keys.secret_key, keys.session_token or None, method="typed"))


def new_session(credentials: Credentials | None = None) -> boto3.Session:
    """Return a session with some credentials, or the process's own; descriptions of services are read once."""
    core: Any = botocore.session.Session()
    core.register_component("data_loader", _LOADER)
    if credentials is not None:
        core._credentials = credentials  # botocore has no other way to hand in renewable ones
    return boto3.Session(botocore_session=core)
