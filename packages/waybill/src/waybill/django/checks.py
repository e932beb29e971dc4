"""What can be known to be wrong before anybody asks for an export."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from waybill.django.host import load_host
from waybill.errors import WaybillError


def check_settings(**_: Any) -> list[CheckMessage]:
    """Return what does not hold of ``WAYBILL`` and its catalog."""
    try:
        load_host()
    except WaybillError as exc:
        return [Error(str(exc), id="waybill.E001")]
    return []
