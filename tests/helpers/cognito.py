"""moto's Cognito: a user pool whose access tokens are real RS256 tokens, with the keys to verify them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3

REGION = "eu-central-1"
PASSWORD = "Correct-horse-7"


@dataclass
class Pool:
    """A pool with one app client."""

    client: Any
    endpoint: str
    id: str
    client_id: str

    @property
    def issuer(self) -> str:
        """Return the ``iss`` of its tokens."""
        return f"https://cognito-idp.{REGION}.amazonaws.com/{self.id}"

    @property
    def keys_url(self) -> str:
        """Return where moto serves the pool's keys."""
        return f"{self.endpoint}/{self.id}/.well-known/jwks.json"

    def add_user(self, name: str, *groups: str) -> None:
        """Add a user in some groups."""
        self.client.admin_create_user(UserPoolId=self.id, Username=name)
        self.client.admin_set_user_password(UserPoolId=self.id, Username=name, Password=PASSWORD, Permanent=True)
        for group in groups:
            self.client.create_group(UserPoolId=self.id, GroupName=group)
            self.client.admin_add_user_to_group(UserPoolId=self.id, Username=name, GroupName=group)

    def log_in(self, name: str, client_id: str = "") -> dict[str, str]:
        """Return the tokens of a login."""
        answer = self.client.initiate_auth(
            ClientId=client_id or self.client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD},
        )
        tokens: dict[str, str] = answer["AuthenticationResult"]
        return tokens

    def add_client(self) -> str:
        """Add another app client; returns its ID."""
        answer = self.client.create_user_pool_client(UserPoolId=self.id, ClientName="another")
        return str(answer["UserPoolClient"]["ClientId"])


def make_pool(endpoint: str) -> Pool:
    """Make a pool in a running moto."""
    client = boto3.client(
        "cognito-idp",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    pool_id = client.create_user_pool(PoolName="pool")["UserPool"]["Id"]
    pool = Pool(client, endpoint, pool_id, "")
    pool.client_id = pool.add_client()
    return pool
