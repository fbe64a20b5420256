"""Orthanc's configuration for its two roles, as one complete JSON object (Orthanc Book, "Configuration").

Written out in full rather than left to an image's defaults, so that it holds on any Orthanc from 1.10.1 on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from variables import Modality, VariablesError

# Shared objects of Debian's packages and of the orthancteam image.
_DICOMWEB = "libOrthancDicomWeb.so"
_POSTGRESQL = "libOrthancPostgreSQLIndex.so"
_S3 = "libOrthancAwsS3Storage.so"
# The orthancteam image keeps its plugins in the first, Debian in the second.
_PLUGIN_FOLDERS = [Path("/usr/share/orthanc/plugins-available"), Path("/usr/share/orthanc/plugins")]
_SENDER_FILTER = Path(__file__).parent / "sender-filter.lua"


def render(values: Mapping[str, Any]) -> dict[str, Any]:
    """Make the configuration that the variables describe.

    Raises
    ------
    VariablesError
        The extra JSON is no object, or a plugin that is asked for is not installed. A bucket without the S3 plugin
        must not start: Orthanc would silently keep the files on local disk.
    """
    role = values["RPACS_ORTHANC_ROLE"]
    configuration = {
        "Name": f"Research PACS {role}",
        "StorageDirectory": values["RPACS_ORTHANC_STORAGE_FOLDER"],
        "IndexDirectory": values["RPACS_ORTHANC_STORAGE_FOLDER"],
        **_limits(),
        **_hardening(),
        **_http(values),
        **_dicom(values, role),
        "Plugins": _plugins(values),
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False, "Ssl": False},
        **_postgresql(values, role),
        **_s3(values),
    }
    return merge(configuration, _extra(values["RPACS_ORTHANC_EXTRA_JSON"]))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one JSON object over another: objects are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _limits() -> dict[str, Any]:
    return {
        # 0: never recycle. What we owe a sender is never thrown away to make room.
        "MaximumStorageSize": 0,
        "MaximumPatientCount": 0,
        "StorageCompression": False,
        # A corrected resend replaces the earlier copy; else Orthanc answers AlreadyStored and keeps the old one.
        "OverwriteInstances": True,
        "StableAge": 60,
        "ConcurrentJobs": 2,
        "SaveJobs": False,
        "HttpThreadsCount": 50,
        "DicomThreadsCount": 4,
        "MetricsEnabled": True,
    }


def _hardening() -> dict[str, Any]:
    return {
        "ExecuteLuaEnabled": False,
        "RestApiWriteToFileSystemEnabled": False,
        "WebDavEnabled": False,
        "DeidentifyLogs": True,
        "LogExportedResources": False,
        "HttpDescribeErrors": False,
        "OrthancPeers": {},
        "DicomModalitiesInDatabase": False,
        "OrthancPeersInDatabase": False,
    }


def _http(values: Mapping[str, Any]) -> dict[str, Any]:
    users = {values["RPACS_ORTHANC_USERNAME"]: values["RPACS_ORTHANC_PASSWORD"]}
    section: dict[str, Any] = {
        "HttpServerEnabled": True,
        "HttpPort": values["RPACS_ORTHANC_HTTP_PORT"],
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": True,
        "RegisteredUsers": users,
        "KeepAlive": True,
        "TcpNoDelay": True,
        "SslEnabled": False,
        "LuaScripts": [],
    }
    if sender := values["RPACS_ORTHANC_SENDER_USERNAME"]:
        users[sender] = values["RPACS_ORTHANC_SENDER_PASSWORD"]
        section["LuaScripts"] = [str(_SENDER_FILTER)]
    if folder := values["RPACS_ORTHANC_TLS_FOLDER"]:
        section |= {"SslEnabled": True, "SslCertificate": f"{folder}/server.pem", "SslMinimumProtocolVersion": 4}
    return section


def _dicom(values: Mapping[str, Any], role: str) -> dict[str, Any]:
    accept = values["RPACS_ORTHANC_ACCEPT_UNKNOWN_MODALITIES"]
    section: dict[str, Any] = {
        "DicomServerEnabled": True,
        "DicomPort": values["RPACS_ORTHANC_DICOM_PORT"],
        "DicomAet": values["RPACS_ORTHANC_AET"] or f"RPACS_{role.upper()}",
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": values["RPACS_ORTHANC_CHECK_MODALITY_HOST"],
        "DicomAlwaysAllowEcho": accept,
        "DicomAlwaysAllowStore": accept,
        **{f"DicomAlwaysAllow{verb}": False for verb in ("Find", "FindWorklist", "Get", "Move")},
        "DicomModalities": {modality.name: _modality(modality) for modality in values["RPACS_ORTHANC_MODALITIES"]},
        # A class that Orthanc does not know is stored and decided about later: refusing it would lose it.
        "UnknownSopClassAccepted": True,
        "DicomTlsEnabled": False,
    }
    if folder := values["RPACS_ORTHANC_DICOM_TLS_FOLDER"]:
        section |= {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": f"{folder}/certificate.pem",
            "DicomTlsPrivateKey": f"{folder}/key.pem",
            "DicomTlsTrustedCertificates": f"{folder}/trusted.pem",
            "DicomTlsRemoteCertificateRequired": values["RPACS_ORTHANC_DICOM_TLS_CLIENT_CERTIFICATES"],
        }
    return section


def _modality(modality: Modality) -> dict[str, Any]:
    # A sender stores; it neither asks nor fetches.
    return {
        "AET": modality.aet,
        "Host": modality.host,
        "Port": modality.port,
        **{
            f"Allow{verb}": verb in {"Echo", "Store"}
            for verb in ("Echo", "Store", "Find", "FindWorklist", "Get", "Move")
        },
    }


def _plugins(values: Mapping[str, Any]) -> list[str]:
    wanted = [_DICOMWEB]
    if values["RPACS_ORTHANC_POSTGRESQL_HOSTNAME"]:
        wanted.append(_POSTGRESQL)
    if values["RPACS_S3_DICOM_BUCKET_NAME"]:
        wanted.append(_S3)
    given = values["RPACS_ORTHANC_PLUGINS_FOLDER"]
    folders = [Path(given)] if given else _PLUGIN_FOLDERS
    found = {name: folder / name for name in wanted for folder in reversed(folders) if (folder / name).exists()}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise VariablesError("\n".join(f"the plugin {name} is not installed in {folders[0]}" for name in missing))
    # Named one by one: GDCM's decoder plugin, where it is installed, crashes Orthanc and is never loaded.
    return [str(found[name]) for name in wanted]


def _postgresql(values: Mapping[str, Any], role: str) -> dict[str, Any]:
    if not values["RPACS_ORTHANC_POSTGRESQL_HOSTNAME"]:
        return {}
    section = {
        "EnableIndex": True,
        "EnableStorage": False,
        "Host": values["RPACS_ORTHANC_POSTGRESQL_HOSTNAME"],
        "Port": values["RPACS_ORTHANC_POSTGRESQL_PORT"],
        "Database": values["RPACS_ORTHANC_POSTGRESQL_DB_NAME"],
        "Username": values["RPACS_ORTHANC_POSTGRESQL_USERNAME"],
        "Password": values["RPACS_ORTHANC_POSTGRESQL_PASSWORD"],
        "EnableSsl": values["RPACS_ORTHANC_POSTGRESQL_TLS"],
        # A replaced container must not wait for the lock of the one that was killed.
        "Lock": False,
        "IndexConnectionsCount": 8,
        # Serializable, the default, lets senders beside each other fail: "could not serialize access".
        "TransactionMode": "ReadCommitted",
        "MaximumConnectionRetries": 60,
        "ConnectionRetryInterval": 2,
    }
    return {"PostgreSQL": section, "DatabaseServerIdentifier": f"research-pacs-{role}"}


def _s3(values: Mapping[str, Any]) -> dict[str, Any]:
    if not values["RPACS_S3_DICOM_BUCKET_NAME"]:
        return {}
    section: dict[str, Any] = {
        "BucketName": values["RPACS_S3_DICOM_BUCKET_NAME"],
        "Region": values["RPACS_S3_DICOM_AWS_REGION"],
        "RootPath": values["RPACS_S3_DICOM_KEY_PREFIX"],
        "StorageStructure": "flat",
        # Refuse within a minute: the default keeps a sender waiting for twenty.
        "ConnectTimeout": 10,
        "RequestTimeout": 60,
    }
    if endpoint := values["RPACS_S3_DICOM_ENDPOINT"]:
        # Path style: with virtual hosts a path-style server answers 200 and stores nothing.
        section |= {"Endpoint": endpoint, "VirtualAddressing": False}
    if key := values["RPACS_S3_DICOM_ACCESS_KEY"]:
        section |= {"AccessKey": key, "SecretKey": values["RPACS_S3_DICOM_SECRET_KEY"]}
    if file := values["RPACS_S3_DICOM_ENCRYPTION_KEY_PATH"]:
        section["StorageEncryption"] = {"Enable": True, "MasterKey": [1, file], "MaxConcurrentInputSize": 1024}
    return {"AwsS3Storage": section}


def _extra(text: str | None) -> dict[str, Any]:
    try:
        extra = json.loads(text or "{}")
    except ValueError as exc:
        raise VariablesError("RPACS_ORTHANC_EXTRA_JSON is not JSON") from exc
    if not isinstance(extra, dict):
        raise VariablesError("RPACS_ORTHANC_EXTRA_JSON must be a JSON object")
    return extra
