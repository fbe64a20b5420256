"""What a service behind an Application Load Balancer is told: whose signature it believes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from common.auth.alb import AlbConfiguration
from common.settings import option, settings, url

NEEDED_FOR_ALB = ("alb_arn", "aws_region", "cognito_issuer", "cognito_client_id")
"""The settings without which nobody can log in through a balancer."""


@settings
class AlbSettings:
    """The one balancer, user pool and app client."""

    alb_arn: str = option("RPACS_ALB_ARN", "ARN of the load balancer whose signature is believed.", default="")
    alb_keys_url: str = option(
        "RPACS_ALB_KEYS_URL",
        "Where the balancer's public keys are; by default Amazon's address for AWS_REGION.",
        parse=url,
        default="",
    )
    cognito_issuer: str = option(
        "RPACS_COGNITO_ISSUER", "The user pool: https://cognito-idp.REGION.amazonaws.com/POOL.", parse=url, default=""
    )
    cognito_client_id: str = option("RPACS_COGNITO_CLIENT_ID", "App client of the user pool.", default="")
    cognito_keys_url: str = option(
        "RPACS_COGNITO_KEYS_URL",
        "Where the pool's public keys are; by default the issuer's /.well-known/jwks.json.",
        parse=url,
        default="",
    )
    cognito_claim_username: str = option(
        "RPACS_COGNITO_CLAIM_USERNAME", "Claim that holds the user name.", default="username"
    )
    cognito_claim_groups: str = option(
        "RPACS_COGNITO_CLAIM_GROUPS", "Claim that holds the groups.", default="cognito:groups"
    )

    def alb_configuration(self, region: str) -> AlbConfiguration:
        """Return what tokens are held against."""
        return AlbConfiguration(
            arn=self.alb_arn,
            client_id=self.cognito_client_id,
            issuer=self.cognito_issuer,
            keys_url=self.alb_keys_url or f"https://public-keys.auth.elb.{region}.amazonaws.com",
            pool_keys_url=self.cognito_keys_url or f"{self.cognito_issuer}/.well-known/jwks.json",
            claim_username=self.cognito_claim_username,
            claim_groups=self.cognito_claim_groups,
        )


def authentication_problems(loaded: AlbSettings, authentication: str, needed: Sequence[str]) -> list[str]:
    """Say what is wrong with how users log in: what is missing for it, or a weaker door beside a balancer.

    Parameters
    ----------
    loaded
        The service's settings, ``authentication`` among them.
    authentication
        How users log in.
    needed
        Names of the settings that it takes.
    """
    variables = {field.name: field.metadata["variable"] for field in dataclasses.fields(loaded)}
    chosen = f"{variables['authentication']}={authentication}"
    problems = [f"{variables[name]} is missing: {chosen} needs it" for name in needed if not getattr(loaded, name)]
    if authentication == "local" and loaded.alb_arn:
        # Behind a balancer that logs users in, passwords of our own would be a second, weaker door.
        problems.append(f"{chosen} refuses to run behind a load balancer: RPACS_ALB_ARN is set")
    return problems
