"""What cannot work does not start: every process says why, in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import psycopg
import pytest

from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.local.service_stack import settings_of
from waybill.local.stack import LocalStack
from waybill.migrations.run import known_revisions, migrate

from ..unit.cli.test_mistakes import end_of

CATALOG = '[exports.users]\ntable = "public.users"\n'
SECRET = "a secret that is long enough to sign with"
Start = Callable[..., tuple[int, str]]


@pytest.fixture
def start(local_stack: LocalStack, database: str, tmp_path: Path) -> Start:
    """Start a process that may not come up; return its status and what it said."""
    (tmp_path / "waybill.toml").write_text(CATALOG)
    works = {
        **local_stack.as_environment(),
        "WAYBILL_DATABASE_URL": database,
        "WAYBILL_CATALOG": "waybill.toml",
        "WAYBILL_DEVELOPMENT_TOKEN": "token",
    }

    def run(command: str, **settings: str) -> tuple[int, str]:
        came_up = AssertionError("it came up")
        with (
            mock.patch("waybill.api.serve._Server.run", side_effect=came_up),
            mock.patch("waybill.worker.main._worker_class", side_effect=came_up),
            mock.patch("waybill.worker.scheduler.schedule_sweeper", side_effect=came_up),
        ):
            arguments = [command, "--port", "0"] if command == "api" else [command]
            given = {name: value for name, value in (works | settings).items() if value != "-"}
            status, _, err = end_of(arguments, given, lambda _: None, tmp_path)
        return status, err

    return run


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DATABASE_URL": "-"}, "WAYBILL_DATABASE_URL: Field required"),
        ({"DATABASE_URL": "mysql://x/y"}, "must be a PostgreSQL URL"),
        ({"S3_ENDPOINT_URL": "nowhere"}, "WAYBILL_S3_ENDPOINT_URL"),
        ({"S3_BUCKET": "no-such-bucket"}, "Create the bucket, or correct WAYBILL_S3_BUCKET"),
        ({"PART_BYTES": "1024"}, "WAYBILL_PART_BYTES"),
        ({"HEARTBEAT_SECONDS": "3600"}, "fit three times into lease_seconds"),
        ({"RETRY_BACKOFF_SECONDS": "-1"}, "none negative"),
        ({"MAX_ATTEMPTS": "0"}, "WAYBILL_MAX_ATTEMPTS"),
        ({"RESULT_TTL_DAYS": "0"}, "WAYBILL_RESULT_TTL_DAYS"),
        ({"QUOTA_PER_DAY": "many"}, "WAYBILL_QUOTA_PER_DAY"),
        ({"TRUSTED_PROXIES": "everybody"}, "WAYBILL_TRUSTED_PROXIES"),
        ({"STORAGE": "tape"}, "There is no storage 'tape'"),
        ({"STORAGE": "directory"}, "WAYBILL_STORAGE_DIRECTORY"),
        ({"CATALOG": "missing.toml"}, "There is no catalog at missing.toml"),
        ({"CATALOG": "nonsense"}, "nonsense"),
        ({"QOUTA_PER_DAY": "5"}, "WAYBILL_QOUTA_PER_DAY (did you mean WAYBILL_QUOTA_PER_DAY?)"),
        ({"FROBNICATE": "1"}, "There is no setting WAYBILL_FROBNICATE"),
    ],
)
def test_process_with_a_wrong_setting_says_so_in_one_line_and_stays_down(
    start: Start, settings: dict[str, str], said: str
) -> None:
    for command in ("api", "worker", "scheduler"):
        status, err = start(command, **{f"WAYBILL_{k}": v for k, v in settings.items()})
        assert status != 0
        assert status != 70, err
        assert said in err
        assert len(err.strip().splitlines()) == 1, err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"JWT_SECRETS": "short"}, "32"),
        ({"JWT_SECRETS": SECRET, "JWT_JWKS_URL": "https://x.example/jwks"}, "not both"),
        ({"JWT_JWKS_URL": "https://x.example/jwks"}, "WAYBILL_JWT_AUDIENCES"),
        ({}, "WAYBILL_JWT"),
    ],
)
def test_api_that_nobody_could_sign_in_to_stays_down(
    start: Start, settings: dict[str, str], said: str
) -> None:
    given = {f"WAYBILL_{k}": v for k, v in settings.items()}
    status, err = start("api", WAYBILL_DEVELOPMENT_TOKEN="-", **given)
    assert status == 78, err
    assert said in err


@pytest.mark.parametrize("command", ["api", "worker", "scheduler"])
def test_process_that_is_set_up_right_comes_up(start: Start, command: str) -> None:
    status, err = start(command)
    assert (status, "AssertionError" in err) == (70, True), err


@pytest.mark.parametrize("command", ["api", "worker", "scheduler"])
def test_database_that_is_not_migrated_is_told_with_the_command(
    start: Start, database: str, command: str
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE waybill_migrations SET version_num = '0001'")
        assert "is at 0001" in start(command)[1]
        connection.execute("DROP TABLE waybill_migrations")
        status, err = start(command)
        assert status == 78
        assert "has no tables of waybill. Run `waybill migrate` first." in err
        # A later version's, which is being rolled out: its schema serves this one too.
        connection.execute(
            "CREATE TABLE waybill.waybill_migrations AS SELECT '9999'::text AS version_num"
        )
        assert start(command)[0] == 70


def test_database_that_is_away_keeps_no_process_down(start: Start) -> None:
    away = "postgresql://me@127.0.0.1:9/x"
    status, err = start("scheduler", WAYBILL_DATABASE_URL=away)
    assert (status, "AssertionError" in err) == (70, True), err


def test_migrate_says_where_the_database_is_and_never_goes_back(settings: Settings) -> None:
    *_, last = known_revisions()
    assert migrate(settings) == migrate(settings, last) == last
    for revision, said in (
        ("base", "There is no revision 'base'"),
        ("-1", "There is no revision '-1'"),
        ("0001", f"at {last}, and waybill does not go back to 0001"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            migrate(settings, revision)


def test_migrate_without_rights_or_room_for_its_names_is_told(
    settings: Settings, database: str, local_stack: LocalStack
) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("DROP SCHEMA waybill CASCADE; CREATE SCHEMA waybill")
        admin.execute("CREATE TABLE waybill.export_jobs (mine int)")
        with pytest.raises(ConfigurationError, match=r"there already: .*export_jobs"):
            migrate(settings)
        assert admin.execute("SELECT to_regclass('waybill_migrations')").fetchone() == (None,)
        admin.execute("DROP SCHEMA waybill CASCADE; CREATE ROLE guest LOGIN PASSWORD 'guest'")
        try:
            guest = "postgresql://guest:guest@" + database.rpartition("@")[2]
            with pytest.raises(ConfigurationError, match="may not make waybill's tables"):
                migrate(settings_of(local_stack, database_url=guest))
        finally:
            admin.execute("DROP ROLE guest")
