"""The settings of the service that an operator's verb is for."""

from __future__ import annotations

import os

from waybill.config import Settings, load_settings
from waybill.errors import ConfigurationError
from waybill.local.endpoint import find_running


def load_own_settings() -> Settings:
    """Return the settings of the environment, or of the ``waybill local`` that runs in this folder
    where there are none.

    Raises:
        ConfigurationError: something is missing or malformed.
    """
    try:
        return load_settings()
    except ConfigurationError:
        running = None if "WAYBILL_DATABASE_URL" in os.environ else find_running()
        if running is None:
            raise
        return load_settings(**running.settings)
