"""What the portal is told by environment variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from common.auth.alb_settings import NEEDED_FOR_ALB, AlbSettings, authentication_problems
from common.errors import SettingsError
from common.settings import (
    CommonSettings,
    TaskSettings,
    base_url,
    choice,
    integer,
    load,
    location,
    option,
    random_key,
    settings,
    switch,
    text,
    url,
    words,
)

DEFAULT_PERMISSIONS = Path(__file__).with_name("default-permissions.yaml")


@settings
class OrthancSettings(CommonSettings):
    """How to reach the research Orthanc."""

    orthanc_url: str = option("RPACS_ORTHANC_HOSTNAME", "Base URL of the research Orthanc.", parse=base_url)
    orthanc_username: str = option("RPACS_ORTHANC_USERNAME", "User of the research Orthanc.")
    orthanc_password: str = option("RPACS_ORTHANC_PASSWORD", "Password of that user.", secret=True)


@settings
class WorkerSettings(OrthancSettings, TaskSettings):
    """What the workers of the research side are told."""


@settings
class AccessSettings(OrthancSettings):
    """What it takes to know who may do what, and to write down what was done."""

    authentication: str = option(
        "RPACS_AUTHENTICATION",
        "How users log in: alb (Application Load Balancer and Cognito), oidc, or local (accounts file).",
        parse=choice("alb", "oidc", "local"),
        default="alb",
    )
    accounts_file: str = option("RPACS_ACCOUNTS_FILE", "The accounts file of local.", default="")
    permissions_file: str = option(
        "RPACS_PERMISSIONS_FILE",
        "The permissions file: a path or s3://bucket/key.",
        parse=location,
        default=str(DEFAULT_PERMISSIONS),
    )
    groups_max_age_hours: int = option(
        "RPACS_GROUPS_MAX_AGE_HOURS",
        "API tokens and jobs use a user's groups for so long after the login that told them.",
        parse=integer(1, 8760),
        default=24,
    )
    public_url: str = option(
        "RPACS_PUBLIC_URL",
        "Base URL of the portal as browsers see it; http:// only for a demo: cookies are then not marked Secure.",
        parse=base_url,
        default="",
    )
    cognito_user_pool_id: str = option(
        "RPACS_COGNITO_USER_POOL_ID",
        "Groups are asked from this pool for API tokens and jobs (needs cognito-idp:AdminListGroupsForUser).",
        default="",
    )
    cognito_endpoint: str = option(
        "RPACS_COGNITO_ENDPOINT", "Base URL of another Cognito API than Amazon's.", parse=base_url, default=""
    )
    audit_key: str = option(
        "RPACS_AUDIT_KEY", "Key that chains the rows of the audit trail.", parse=random_key, secret=True
    )


@settings
class ExportSettings(AccessSettings):
    """What exports take, in the portal and in the workers."""

    export_key: str = option(
        "RPACS_EXPORT_KEY",
        "Seals the S3 keys that users type, the same for portal and workers; without it, no keys are taken.",
        parse=random_key,
        default="",
        secret=True,
    )
    export_endpoints: tuple[str, ...] = option(
        "RPACS_EXPORT_ENDPOINTS",
        "S3 servers beside Amazon's that users may export to: https://host:port, separated by commas.",
        parse=words,
        default=(),
    )
    export_destinations_file: str = option(
        "RPACS_EXPORT_DESTINATIONS_FILE",
        "Destinations that profiles may name, YAML: a path or s3://bucket/key.",
        parse=location,
        default="",
    )
    sts_endpoint: str = option(
        "RPACS_STS_ENDPOINT", "Base URL of another STS than Amazon's, for roles.", parse=base_url, default=""
    )
    export_jobs: int = option(
        "RPACS_EXPORT_JOBS", "Exports that run at the same time, in all.", parse=integer(1, 1000), default=4
    )
    export_jobs_per_user: int = option(
        "RPACS_EXPORT_JOBS_PER_USER",
        "Exports of one user that run at the same time; others wait.",
        parse=integer(1, 1000),
        default=2,
    )
    export_open_per_user: int = option(
        "RPACS_EXPORT_OPEN_PER_USER",
        "Exports of one user that may wait, run or be paused.",
        parse=integer(1, 100000),
        default=50,
    )
    export_connections: int = option(
        "RPACS_EXPORT_CONNECTIONS",
        "Instances of an export that are sent side by side.",
        parse=integer(1, 64),
        default=8,
    )
    export_webhook_url: str = option(
        "RPACS_EXPORT_WEBHOOK_URL", "Receives a POST when an export ended or waits.", parse=url, default=""
    )
    smtp_host: str = option("RPACS_SMTP_HOSTNAME", "Mail server for messages about exports.", default="")
    smtp_port: int = option("RPACS_SMTP_PORT", "Port of the mail server.", parse=integer(1, 65535), default=587)
    smtp_user: str = option("RPACS_SMTP_USERNAME", "User of the mail server, if it wants one.", default="")
    smtp_password: str = option("RPACS_SMTP_PASSWORD", "Password of that user.", default="", secret=True)
    smtp_sender: str = option("RPACS_SMTP_SENDER", "From address of messages.", default="")
    export_mail_domains: tuple[str, ...] = option(
        "RPACS_EXPORT_MAIL_DOMAINS",
        "Domains of the e-mail addresses that users may have messages sent to.",
        parse=words,
        default=(),
    )


@settings
class ExportWorkerSettings(ExportSettings, WorkerSettings):
    """What the workers are told where they run exports."""


@settings
class WebsiteSettings(ExportSettings, AlbSettings):
    """What the portal is told."""

    orthanc_public_url: str = option(
        "RPACS_ORTHANC_PUBLIC_URL",
        "A separate host name under which the portal serves /orthanc/ and nothing else.",
        parse=base_url,
        default="",
    )
    # Who may what
    purpose_of_use: bool = option(
        "RPACS_PURPOSE_OF_USE",
        "Users name a project or approval number before they search; it goes into the audit trail and exports.",
        parse=switch,
        default=False,
    )
    # Logging in
    trusted_proxies: int = option(
        "RPACS_TRUSTED_PROXIES",
        "Number of reverse proxies in front whose X-Forwarded-For and -Proto are believed; the balancer of alb is one.",
        parse=integer(0, 10),
        default=0,
    )
    secret_key: str = option(
        "RPACS_SECRET_KEY", "Key that signs cookies, the same on every replica.", parse=random_key, secret=True
    )
    session_idle_minutes: int = option(
        "RPACS_SESSION_IDLE_MINUTES",
        "A session ends after so long without a request.",
        parse=integer(1, 1440),
        default=60,
    )
    session_hours: int = option(
        "RPACS_SESSION_HOURS", "A session ends so long after its login.", parse=integer(1, 168), default=12
    )
    token_max_days: int = option(
        "RPACS_TOKEN_MAX_DAYS", "Longest life of an API token.", parse=integer(1, 3650), default=90
    )
    oidc_issuer: str = option("RPACS_OIDC_ISSUER", "Issuer of the OpenID provider.", parse=url, default="")
    oidc_client_id: str = option("RPACS_OIDC_CLIENT_ID", "The portal's client ID there.", default="")
    oidc_client_secret: str = option(
        "RPACS_OIDC_CLIENT_SECRET", "The client's secret, if it has one.", default="", secret=True
    )
    oidc_scopes: str = option("RPACS_OIDC_SCOPES", "Scopes to ask for.", default="openid profile")
    oidc_claim_username: str = option(
        "RPACS_OIDC_CLAIM_USERNAME", "Claim of the ID token that holds the user name.", default="preferred_username"
    )
    oidc_claim_groups: str = option(
        "RPACS_OIDC_CLAIM_GROUPS", "Claim of the ID token that holds the groups.", default="groups"
    )
    sign_out_url: str = option(
        "RPACS_SIGN_OUT_URL", "Where logging out leads in the end, such as Cognito's /logout.", parse=url, default=""
    )
    # Audit and access log
    log_file: str = option(
        "RPACS_LOG_FILE", "The access log, JSON lines: a path, or - for standard output.", parse=text, default="-"
    )
    log_excluded_prefixes: tuple[str, ...] = option(
        "RPACS_LOG_EXCLUDED_PREFIXES",
        "Paths that begin so are not in the access log (the audit trail has them).",
        parse=words,
        default=("/healthcheck", "/app/"),
    )
    log_excluded_suffixes: tuple[str, ...] = option(
        "RPACS_LOG_EXCLUDED_SUFFIXES",
        "Paths that end so are not in the access log.",
        parse=words,
        default=(".ico", ".js", ".css"),
    )
    viewer_folder: str = option(
        "RPACS_VIEWER_FOLDER",
        "Where OHIF is, as python -m website.ohif.build made it; by default where that puts it.",
        default="",
    )
    link_max_hours: int = option(
        "RPACS_LINK_MAX_HOURS",
        "Longest life of a link to a study, in hours; a new one has 24 or fewer.",
        parse=integer(1, 8760),
        default=168,
    )
    # Limits
    max_request_mb: int = option(
        "RPACS_MAX_REQUEST_MB",
        "Largest body of a request to Orthanc or of stored instances, in MB; of forms it is 1 MB.",
        parse=integer(1, 102400),
        default=2048,
    )
    costly_requests_per_minute: int = option(
        "RPACS_COSTLY_REQUESTS_PER_MINUTE",
        "Searches, downloads and previews that one user may ask for in a minute.",
        parse=integer(10, 1000000),
        default=600,
    )
    # Pages
    results_per_page: int = option(
        "RPACS_RESULTS_PER_PAGE", "Rows on a page of results.", parse=integer(1, 1000), default=200
    )
    series_header_keywords: tuple[str, ...] = option(
        "RPACS_SERIES_HEADER_KEYWORDS",
        "Elements shown for a series in results.",
        parse=words,
        default=("Modality", "StudyDescription", "SeriesDescription"),
    )
    instance_header_keywords: tuple[str, ...] = option(
        "RPACS_INSTANCE_HEADER_KEYWORDS",
        "Elements shown for an instance in results.",
        parse=words,
        default=("InstanceNumber",),
    )
    user_guide_url: str = option("RPACS_USER_GUIDE_URL", "Your own guide, linked from the help.", parse=url, default="")

    @property
    def secure_cookies(self) -> bool:
        """Cookies are Secure unless the portal is explicitly on plain http."""
        return not self.public_url.startswith("http://")


# What each kind of authentication needs besides.
_NEEDED = {
    "alb": NEEDED_FOR_ALB,
    "oidc": ("oidc_issuer", "oidc_client_id", "public_url"),
    "local": ("accounts_file",),
}


def load_settings(environ: Mapping[str, str] | None = None) -> WebsiteSettings:
    """Read the portal's settings.

    Raises
    ------
    SettingsError
        Lists everything that is missing, malformed or contradicts.
    """
    loaded = load(WebsiteSettings, environ)
    problems = authentication_problems(loaded, loaded.authentication, _NEEDED[loaded.authentication])
    if loaded.authentication == "alb" and not loaded.trusted_proxies:
        loaded = dataclasses.replace(loaded, trusted_proxies=1)
    if problems:
        raise SettingsError(problems)
    return loaded
