"""What every implementation of a port has to run against.

``WAYBILL_TESTS_S3`` puts a store of one's own in the place of SeaweedFS: options of ``S3Options``
as JSON, as in ``{"bucket": "try", "endpoint_url": "http://127.0.0.1:9000", ...}``.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from waybill.local.stack import LocalStack
from waybill.storage.base import Storage
from waybill.storage.database.storage import DatabaseOptions, DatabaseStorage
from waybill.storage.directory.storage import DirectoryOptions, DirectoryStorage
from waybill.storage.s3.client import S3Options
from waybill.storage.s3.storage import S3Storage


def _s3(request: pytest.FixtureRequest) -> Storage:
    theirs = os.environ.get("WAYBILL_TESTS_S3")
    if theirs:
        return S3Storage(S3Options(**json.loads(theirs), prefix=f"test-{secrets.token_hex(6)}"))
    stack: LocalStack = request.getfixturevalue("local_stack")
    addresses = stack.addresses
    return S3Storage(
        S3Options(
            bucket=addresses.s3_bucket,
            region=addresses.s3_region,
            endpoint_url=addresses.s3_endpoint_url,
            access_key_id=addresses.s3_access_key,
            secret_access_key=addresses.s3_secret_key,
            prefix=f"test-{secrets.token_hex(6)}",
        )
    )


def _database(request: pytest.FixtureRequest) -> Storage:
    return DatabaseStorage(DatabaseOptions(request.getfixturevalue("database")))


def _directory(request: pytest.FixtureRequest) -> Storage:
    root: Path = request.getfixturevalue("tmp_path") / "storage"
    root.mkdir()
    storage = DirectoryStorage(DirectoryOptions(root, lambda: "the-test"))
    storage.check()  # as every start does
    return storage


# By registry name. A new storage is a line here, and the whole suite is its first test.
STORAGES: dict[str, Callable[[pytest.FixtureRequest], Storage]] = {
    "s3": _s3,
    "directory": _directory,
    "database": _database,
}


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest) -> Storage:
    """An empty storage of the test's own."""
    create: Callable[[pytest.FixtureRequest], Storage] = STORAGES[request.param]
    return create(request)


@pytest.fixture
def create_storage(request: pytest.FixtureRequest) -> Callable[[str], Storage]:
    """Create an empty storage by its name."""
    return lambda name: STORAGES[name](request)


@pytest.fixture(params=["s3", "directory"])
def continuable(request: pytest.FixtureRequest) -> Storage:
    """An empty storage whose uploads another process can resume."""
    create: Callable[[pytest.FixtureRequest], Storage] = STORAGES[request.param]
    return create(request)


@pytest.fixture
def storage_names() -> set[str]:
    """The names of the storages under contract."""
    return set(STORAGES)
