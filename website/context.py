"""What a view may reach for: the user's access, and the services of this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app, g

from common.audit import AuditTrail
from common.auth.accounts import Accounts
from common.auth.limits import RateLimit
from common.auth.sessions import Sessions
from common.auth.tokens import ApiToken, ApiTokens
from common.auth.users import Users
from common.database import Database
from common.errors import UnauthenticatedError
from common.orthanc import Orthanc
from website.access_log import AccessLog
from website.authentication import Authenticator
from website.catalogue import Catalogue
from website.dicomweb.minutes import MinuteAudit
from website.dicomweb.service import DicomWeb
from website.exports.request import Requests
from website.file_cache import FileCache
from website.index import Index
from website.link_access import LinkAccess
from website.ohif.contents import Viewer
from website.oidc import OidcClient
from website.orthanc_proxy import OrthancProxy
from website.permissions import Access, PermissionsFile
from website.settings import WebsiteSettings

SCHEMA = "research"


@dataclass(frozen=True)
class Services:
    """What one process of the portal holds."""

    settings: WebsiteSettings
    database: Database
    users: Users
    sessions: Sessions
    tokens: ApiTokens
    permissions: PermissionsFile
    audit: AuditTrail
    access_log: AccessLog
    authenticator: Authenticator
    orthanc: Orthanc
    orthanc_proxy: OrthancProxy
    index: Index
    catalogue: Catalogue
    files: FileCache
    dicomweb: DicomWeb
    minutes: MinuteAudit
    links: LinkAccess
    viewer: Viewer
    exports: Requests
    costly: RateLimit
    login_pair: RateLimit
    login_user: RateLimit
    login_address: RateLimit
    accounts: Accounts | None = None
    oidc: OidcClient | None = None


def services() -> Services:
    """Return the services of the application that handles this request."""
    return cast(Services, current_app.extensions["research_pacs"])


def current_access() -> Access:
    """Return what the user of this request may do.

    Raises
    ------
    UnauthenticatedError
        The route is public and nobody is logged in.
    """
    access = g.get("access")
    if access is None:
        raise UnauthenticatedError
    return cast(Access, access)


def current_orthanc() -> Orthanc:
    """Return the client of the research Orthanc; ask :func:`current_access` before handing out what it answers."""
    return services().orthanc


def current_index() -> Index:
    """Return the index; combine every query with a tree of :func:`current_access`."""
    return services().index


def current_catalogue() -> Catalogue:
    """Return the index as the pages see it; combine every query with a tree of :func:`current_access`."""
    return services().catalogue


def current_token() -> ApiToken | None:
    """Return the API token of this request; None for a browser's session."""
    return cast("ApiToken | None", g.get("token"))
