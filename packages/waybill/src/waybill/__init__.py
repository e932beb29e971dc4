"""waybill: asynchronous user-data export, with a manifest that proves the file whole.

For applications that embed it: ``waybill.router``, ``waybill.app``, ``waybill.Principal``,
``waybill.Settings``, ``waybill.Catalog``, ``waybill.Hooks``, ``waybill.Objects``, and what their
functions are given (``AuditEvent``, ``NewExport``). They are imported when they are used, so that
the client alone needs nothing of the service.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from waybill.audit.audit import AuditEvent
    from waybill.catalog import Catalog
    from waybill.config import Settings
    from waybill.fastapi import app, router
    from waybill.principal import Principal
    from waybill.requests.object_folder import NewExport
    from waybill.run.hooks import Hooks
    from waybill.storage.objects import Objects

__all__ = [
    "AuditEvent",
    "Catalog",
    "Hooks",
    "NewExport",
    "Objects",
    "Principal",
    "Settings",
    "__version__",
    "app",
    "router",
]

__version__ = "0.2.0"

_HOME = {
    "AuditEvent": "waybill.audit.audit",
    "Catalog": "waybill.catalog",
    "Hooks": "waybill.run.hooks",
    "NewExport": "waybill.requests.object_folder",
    "Objects": "waybill.storage.objects",
    "Principal": "waybill.principal",
    "Settings": "waybill.config",
    "app": "waybill.fastapi",
    "router": "waybill.fastapi",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
