"""DSNs that cannot be used: what is said about them, and that the password is not."""

import traceback

import pytest

from waybill.catalog.connect import connect_read_only
from waybill.errors import ConfigurationError


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:hunter2@@db.internal/shop",
        "postgresql://user:hun/ter2@db.internal/shop",
        "postgresql://user:hun@hunter2@db.internal/shop",
        "postgresql+psycopg://user:hunter2@db.internal/shop",
        "user=u password=hunter2 nonsense",
        "postgresql://user:hunter2@db.internal:port/shop",
        "postgresql://user:hunter2@db.internal/shop?colour=hunter2",
        "postgresql://user:hun%ter2@db.internal/shop",
        "hunter2",
    ],
)
def test_malformed_dsn_is_refused_without_showing_its_password(dsn: str) -> None:
    with (
        pytest.raises(ConfigurationError) as caught,
        connect_read_only(dsn, statement_timeout_seconds=1),
    ):
        pass
    shown = "".join(traceback.format_exception(caught.value))
    assert "postgresql://user:password@host:5432/database" in shown
    assert "hunter2" not in shown.replace(dsn, "")
    assert "ter2" not in shown.replace("hunter2", "")
