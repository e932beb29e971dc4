"""A Python client of the API: request, watch, download, verify."""

from waybill.client.client import ExportClient
from waybill.client.errors import ClientError, DownloadBroken, ExportEnded, ServerRefused

__all__ = ["ClientError", "DownloadBroken", "ExportClient", "ExportEnded", "ServerRefused"]
