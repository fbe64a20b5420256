"""Putting together what exports take, from settings: for the portal, the workers and the command line alike."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from common.audit import AuditTrail
from common.auth.accounts import Accounts
from common.auth.cognito import CognitoDirectory
from common.auth.identity import Directory
from common.auth.users import Users
from common.database import Database
from common.orthanc import Orthanc
from common.storage import Storage
from website.exports.credentials import RoleSource
from website.exports.destinations import DestinationsFile
from website.exports.endpoints import Endpoints
from website.exports.job import ExportServices
from website.exports.notify import Notifier
from website.exports.request import Requests
from website.exports.store import Exports
from website.index import Index
from website.permissions import PermissionsFile
from website.settings import ExportSettings

SCHEMA = "research"


def build_export_services(settings: ExportSettings, database: Database, orthanc: Orthanc) -> ExportServices:
    """Make the services that the settings describe, for a process without the portal's own.

    Raises
    ------
    ResearchPacsError
        The permissions file or the destinations file does not load.
    """
    storage = Storage(endpoint=settings.s3_endpoint, region=settings.aws_region)
    return ExportServices(
        database=database,
        orthanc=orthanc,
        index=Index(database, timeout=300),  # nobody waits before a page for this one
        exports=Exports(database, settings.export_key),
        users=build_users(settings, database),
        permissions=PermissionsFile(settings.permissions_file, storage),
        destinations=DestinationsFile(settings.export_destinations_file, storage),
        endpoints=Endpoints(settings.export_endpoints),
        roles=RoleSource(settings.sts_endpoint, settings.aws_region),
        audit=AuditTrail(database, SCHEMA, settings.audit_key),
        notifier=build_notifier(settings),
        connections=settings.export_connections,
    )


def build_requests(settings: ExportSettings, database: Database, orthanc: Orthanc, index: Index) -> Requests:
    """Make what asking for exports takes.

    Raises
    ------
    ResearchPacsError
        The destinations file does not load.
    """
    storage = Storage(endpoint=settings.s3_endpoint, region=settings.aws_region)
    return Requests(
        exports=Exports(database, settings.export_key),
        index=index,
        orthanc=orthanc,
        destinations=DestinationsFile(settings.export_destinations_file, storage),
        endpoints=Endpoints(settings.export_endpoints),
        roles=RoleSource(settings.sts_endpoint, settings.aws_region),
        notifier=build_notifier(settings),
        most_open=settings.export_open_per_user,
    )


def build_users(settings: ExportSettings, database: Database) -> Users:
    """Make the table of users, with the directory that is asked for groups if there is one."""
    directory: Directory | None = None
    if settings.authentication == "local" and settings.accounts_file:
        directory = Accounts(Path(settings.accounts_file))
    elif settings.cognito_user_pool_id:
        directory = CognitoDirectory(
            settings.cognito_user_pool_id, region=settings.aws_region, endpoint=settings.cognito_endpoint
        )
    return Users(database, SCHEMA, max_age=timedelta(hours=settings.groups_max_age_hours), directory=directory)


def build_notifier(settings: ExportSettings) -> Notifier:
    """Make what tells users and other systems."""
    return Notifier(
        webhook=settings.export_webhook_url,
        smtp_host=settings.smtp_host,
        smtp_port=settings.smtp_port,
        smtp_user=settings.smtp_user,
        smtp_password=settings.smtp_password,
        sender=settings.smtp_sender,
        domains=tuple(domain.lower() for domain in settings.export_mail_domains),
        portal_url=settings.public_url,
    )
