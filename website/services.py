"""Putting together what one process of the portal holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from common.audit import AuditTrail
from common.auth.accounts import Accounts
from common.auth.alb import AlbVerifier
from common.auth.cognito import CognitoDirectory
from common.auth.identity import Directory
from common.auth.limits import RateLimit
from common.auth.sessions import Sessions
from common.auth.tokens import ApiTokens
from common.auth.users import Users
from common.database import Database
from common.orthanc import Orthanc
from common.storage import Storage
from common.web import origins
from website.access_log import AccessLog
from website.authentication import AlbAuthenticator, Authenticator, SessionAuthenticator
from website.catalogue import Catalogue
from website.context import SCHEMA, Services
from website.dicomweb.minutes import MinuteAudit
from website.dicomweb.service import DicomWeb
from website.exports.build import build_requests
from website.file_cache import FileCache
from website.index import Index
from website.link_access import LinkAccess
from website.links import Links
from website.ohif import DEFAULT_FOLDER
from website.ohif.contents import Viewer
from website.oidc import OidcClient
from website.orthanc_proxy import OrthancProxy
from website.permissions import PermissionsFile
from website.settings import WebsiteSettings

_LOGIN_WINDOW = timedelta(minutes=15)


def build_services(settings: WebsiteSettings, database: Database, storage: Storage) -> Services:
    """Make the services that the settings describe."""
    accounts = Accounts(Path(settings.accounts_file)) if settings.authentication == "local" else None
    if accounts is not None:
        accounts.read()  # a damaged file is told at start, not at the first login
    directory = accounts or _cognito(settings)
    max_age = timedelta(hours=settings.groups_max_age_hours)
    users = Users(database, SCHEMA, max_age=max_age, directory=directory)
    sessions = Sessions(
        database,
        SCHEMA,
        idle=timedelta(minutes=settings.session_idle_minutes),
        absolute=timedelta(hours=settings.session_hours),
    )
    oidc = OidcClient(settings) if settings.authentication == "oidc" else None
    index = Index(database)
    credentials = (settings.orthanc_url, settings.orthanc_username, settings.orthanc_password)
    orthanc, catalogue = Orthanc(*credentials), Catalogue(index, database, settings)
    permissions = PermissionsFile(settings.permissions_file, storage)
    audit = AuditTrail(database, SCHEMA, settings.audit_key)
    return Services(
        settings=settings,
        database=database,
        users=users,
        sessions=sessions,
        tokens=ApiTokens(database, SCHEMA),
        accounts=accounts,
        oidc=oidc,
        permissions=permissions,
        audit=audit,
        access_log=AccessLog(settings),
        authenticator=_authenticator(settings, users, sessions, accounts),
        orthanc=orthanc,
        orthanc_proxy=OrthancProxy(*credentials),
        index=index,
        catalogue=catalogue,
        files=FileCache(),
        dicomweb=DicomWeb.make(database, index, catalogue, orthanc),
        minutes=MinuteAudit(database, audit),
        links=LinkAccess(Links(database), users, permissions, catalogue),
        viewer=Viewer(Path(settings.viewer_folder) if settings.viewer_folder else DEFAULT_FOLDER),
        exports=build_requests(settings, database, orthanc, index),
        costly=_limit(database, "costly", settings.costly_requests_per_minute, timedelta(minutes=1)),
        # Counted before the password is looked at, so that parallel guesses gain nothing. The first is per user and
        # address, so that a stranger cannot lock a user out; the others stop guessing from many addresses, or of
        # many users.
        login_pair=_limit(database, "login-pair", 10, _LOGIN_WINDOW),
        login_user=_limit(database, "login-user", 100, _LOGIN_WINDOW),
        login_address=_limit(database, "login-address", 100, _LOGIN_WINDOW),
    )


def _authenticator(
    settings: WebsiteSettings, users: Users, sessions: Sessions, accounts: Accounts | None
) -> Authenticator:
    if settings.authentication == "alb":
        verifier = AlbVerifier(settings.alb_configuration(settings.aws_region))
        own = SessionAuthenticator(sessions, _cognito(settings))
        return AlbAuthenticator(verifier, users, own, sign_out_url=settings.sign_out_url)
    return SessionAuthenticator(
        sessions, accounts, sign_out_url=settings.sign_out_url, form_targets=origins(settings.oidc_issuer)
    )


def _cognito(settings: WebsiteSettings) -> Directory | None:
    if not settings.cognito_user_pool_id:
        return None
    return CognitoDirectory(
        settings.cognito_user_pool_id, region=settings.aws_region, endpoint=settings.cognito_endpoint
    )


def _limit(database: Database, name: str, limit: int, window: timedelta) -> RateLimit:
    return RateLimit(database, SCHEMA, name=name, limit=limit, window=window)
