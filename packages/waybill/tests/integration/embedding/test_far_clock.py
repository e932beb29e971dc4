"""A clock behind 2038-01-19, the last day of 32 bits: files, and when they expire."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

import waybill
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.formats import installed
from waybill.testing import run_export

LAST_OF_32_BITS = datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)


@pytest.mark.parametrize("format", installed())
def test_export_behind_the_end_of_32_bits_is_whole(
    settings: Settings, catalog: Catalog, format: str
) -> None:
    ahead = (datetime(2039, 6, 1, tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    then = settings.model_copy(update={"clock_offset_seconds": ahead})
    export = run_export(then, "users", waybill.Principal("ann"), catalog=catalog, format=format)
    assert export.job.status == "completed"
    assert export.job.expires_at is not None
    assert export.job.expires_at > LAST_OF_32_BITS
    assert hashlib.sha256(export.data).hexdigest() == export.job.sha256
