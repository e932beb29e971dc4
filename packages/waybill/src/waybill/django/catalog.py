"""The project's catalog, for processes that Django did not start."""

from __future__ import annotations

import django
from django.apps import apps

from waybill.catalog import Catalog
from waybill.errors import ConfigurationError


def load() -> Catalog:
    """Return the catalog that ``WAYBILL`` names, Django set up if it was not.

    Raises:
        ConfigurationError: it is none.
    """
    if not apps.ready:
        django.setup()
    from waybill.django.host import imported
    from waybill.django.settings import own_settings

    found = imported("CATALOG", own_settings()["CATALOG"])
    if callable(found) and not isinstance(found, Catalog):
        found = found()
    if not isinstance(found, Catalog):
        raise ConfigurationError("WAYBILL['CATALOG'] is no waybill.catalog.Catalog.")
    return found
