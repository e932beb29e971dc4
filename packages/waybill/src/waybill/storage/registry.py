"""The storages by name, as settings and the rows of jobs spell them.

A new one is a folder beside ``s3/`` and a line in ``STORAGES``; the contract suite
(``tests/contracts``) does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.storage.base import Storage
from waybill.storage.database.storage import DatabaseStorage
from waybill.storage.directory.storage import DirectoryStorage
from waybill.storage.s3.storage import S3Storage

STORAGES: Mapping[str, Callable[[Settings], Storage]] = {
    S3Storage.name: S3Storage.from_settings,
    DirectoryStorage.name: DirectoryStorage.from_settings,
    DatabaseStorage.name: DatabaseStorage.from_settings,
}

FALLBACK = DatabaseStorage.name
"""Where a last attempt keeps its file while the storage of the settings is away."""


def create_storages(settings: Settings) -> dict[str, Storage]:
    """Return the storages that these settings use: the one that files are written to first, then
    those that older files still lie in, and the fallback.

    Raises:
        ConfigurationError: the settings name a storage that there is not.
    """
    wanted = dict.fromkeys((settings.storage, *settings.former_storages, FALLBACK))
    unknown = [name for name in wanted if name not in STORAGES]
    if unknown:
        raise ConfigurationError(
            f"There is no storage {unknown[0]!r}. WAYBILL_STORAGE and WAYBILL_FORMER_STORAGES take "
            f"{', '.join(STORAGES)}."
        )
    return {name: STORAGES[name](settings) for name in wanted}
