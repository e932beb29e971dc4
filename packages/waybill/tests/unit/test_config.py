from __future__ import annotations

from pathlib import Path

import pytest

from waybill.config import Settings, load_settings
from waybill.errors import ConfigurationError

URL = "postgresql://ann:s3cret@db.example:5432/app"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("WAYBILL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_promises_of_the_specification_are_the_defaults() -> None:
    settings = load_settings(database_url=URL)
    assert settings.max_attempts == 3
    assert settings.retry_backoff_seconds == (1.0, 2.0, 4.0)
    assert settings.result_ttl_days == 7
    assert settings.deadline_seconds == 60
    assert settings.presign_seconds <= 60


def test_missing_database_url_names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="WAYBILL_DATABASE_URL"):
        load_settings()


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYBILL_DATABASE_URL", URL)
    monkeypatch.setenv("WAYBILL_RETRY_BACKOFF_SECONDS", "0.1,0.2")
    assert load_settings().retry_backoff_seconds == (0.1, 0.2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_attempts", "0"),
        ("retry_backoff_seconds", "1,-2"),
        ("retry_backoff_seconds", "soon"),
        ("presign_seconds", "3600"),
        ("part_bytes", "1024"),
        ("heartbeat_seconds", "30"),
        ("download", "pigeon"),
        ("s3_endpoint_url", "not a url"),
    ],
)
def test_value_that_does_not_fit_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(database_url=URL, **{name: value})
    assert name.upper() in str(caught.value) or name in str(caught.value)


def test_refusal_never_quotes_a_secret() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(database_url=URL, redis_url=["s3cret-list"])
    assert "s3cret" not in str(caught.value)


def test_secrets_do_not_print() -> None:
    assert "s3cret" not in repr(load_settings(database_url=URL))


def test_other_databases_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="PostgreSQL"):
        _ = Settings(database_url="mysql://x/y").database_dsn  # type: ignore[arg-type]


def test_source_defaults_to_the_own_database() -> None:
    assert load_settings(database_url=URL).source_url == URL


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("log_level", "LOUD", "WAYBILL_LOG_LEVEL: give one of DEBUG, INFO"),
        ("allowed_hosts", "", "WAYBILL_ALLOWED_HOSTS: give at least one"),
        ("allowed_hosts", "https://exports.example.com/", "WAYBILL_ALLOWED_HOSTS: give names"),
        ("deadline_seconds", "inf", "WAYBILL_DEADLINE_SECONDS: Input should be a finite number"),
        ("result_ttl_days", "1e9", "result_ttl_days is more than 100 years"),
        ("s3_prefix", "../others", "WAYBILL_S3_PREFIX: give a folder"),
        ("s3_prefix", "a\tb", "WAYBILL_S3_PREFIX: give a folder"),
        ("lease_seconds", "1e18", "lease_seconds is more than 100 years"),
    ],
)
def test_value_with_which_nothing_could_run_is_refused_at_the_start(
    name: str, value: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(database_url="postgresql://me@h/x", **{name: value})
    assert said in str(caught.value)


def test_level_of_the_log_may_be_written_small() -> None:
    assert load_settings(database_url="postgresql://me@h/x", log_level="debug").log_level == "DEBUG"
