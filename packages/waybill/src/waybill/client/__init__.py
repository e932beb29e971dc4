"""A Python client of the API, synchronous and asynchronous: request, watch, download, verify."""

from waybill.client.aio import AsyncExportClient
from waybill.client.errors import (
    ClientError,
    Conflict,
    ConnectionLost,
    DownloadBroken,
    ExportEnded,
    Gone,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    QuotaExceeded,
    RecentLoginNeeded,
    ServerRefused,
    ServerUnavailable,
    ServerUnreachable,
    StorageRefused,
    StreamBroken,
    TooManyRequests,
)
from waybill.client.sync import ExportClient

__all__ = [
    "AsyncExportClient",
    "ClientError",
    "Conflict",
    "ConnectionLost",
    "DownloadBroken",
    "ExportClient",
    "ExportEnded",
    "Gone",
    "InvalidRequest",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "QuotaExceeded",
    "RecentLoginNeeded",
    "ServerRefused",
    "ServerUnavailable",
    "ServerUnreachable",
    "StorageRefused",
    "StreamBroken",
    "TooManyRequests",
]
