"""Cognito as a directory: a user's groups as they are now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import RefusedError, TransientError, UnauthenticatedError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_MAX_KNOWN = 10_000
_GONE = frozenset({"UserNotFoundException", "ResourceNotFoundException"})


class CognitoDirectory:
    """Asks a user pool, at most every ten seconds for a user.

    Needs ``cognito-idp:AdminGetUser`` and ``cognito-idp:AdminListGroupsForUser``.
    """

    def __init__(self, pool_id: str, *, region: str, endpoint: str = "", remember: float = 10) -> None:
        self._pool_id = pool_id
        # A script's burst of requests must not meet Cognito's own limit of requests.
        self._remember = remember
        self._known: dict[str, tuple[float, frozenset[str]]] = {}
        configuration = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 2})
        self._client: BaseClient = boto3.client(
            "cognito-idp", region_name=region, endpoint_url=endpoint or None, config=configuration
        )

    def groups(self, user: str) -> frozenset[str]:
        """Return a user's groups.

        Raises
        ------
        UnauthenticatedError
            There is no such user, or they are disabled.
        RefusedError
            The pool does not let us ask.
        TransientError
            Cognito does not answer.
        """
        asked, groups = self._known.get(user, (0.0, frozenset()))
        if asked and time.monotonic() - asked < self._remember:
            return groups
        groups = self._ask(user)
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        self._known[user] = (time.monotonic(), groups)
        return groups

    def _ask(self, user: str) -> frozenset[str]:
        try:
            if not self._call("admin_get_user", user).get("Enabled", False):
                raise UnauthenticatedError("the user is disabled")
            return frozenset(self._list_groups(user))
        except ClientError as exc:
            code = exc.response.get("Error", {}).get("Code", "")
            if code in _GONE:
                raise UnauthenticatedError("there is no such user") from exc
            if exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 500:
                raise TransientError("Cognito does not answer") from exc
            raise RefusedError(f"Cognito refuses the request ({code})") from exc
        except BotoCoreError as exc:
            raise TransientError("Cognito does not answer") from exc

    def _list_groups(self, user: str) -> list[str]:
        names: list[str] = []
        page: dict[str, Any] = {}
        while True:
            following = {"NextToken": page["NextToken"]} if page.get("NextToken") else {}
            page = self._call("admin_list_groups_for_user", user, **following)
            names += [group["GroupName"] for group in page["Groups"]]
            if not page.get("NextToken"):
                return names

    def _call(self, operation: str, user: str, **arguments: str) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self._client, operation)(UserPoolId=self._pool_id, Username=user, **arguments)
        return answer
