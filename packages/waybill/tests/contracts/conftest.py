"""What every implementation of a port has to run against."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from waybill.local.stack import LocalStack
from waybill.storage.base import Storage
from waybill.storage.s3 import S3Options, S3Storage


def _s3(stack: LocalStack) -> Storage:
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


# By registry name. A new storage is a line here, and the whole suite is its first test.
STORAGES: dict[str, Callable[[LocalStack], Storage]] = {"s3": _s3}


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, local_stack: LocalStack) -> Storage:
    """An empty storage of the test's own."""
    return STORAGES[request.param](local_stack)


@pytest.fixture
def storage_names() -> set[str]:
    """The names of the storages under contract."""
    return set(STORAGES)
