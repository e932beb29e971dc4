"""waybill's tables in a schema of their own, in a database that others have too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Column, Integer, MetaData, Table, create_engine

from waybill.alembic import include_name
from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.jobs.checkpoints import CheckpointLog
from waybill.jobs.queue_name import read_queue_name
from waybill.local.faults.poolers import pgbouncer
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.metadata import metadata
from waybill.migrations.grants import own_grants
from waybill.migrations.run import migrate
from waybill.migrations.schema import FUNCTIONS
from waybill.own_database import TABLES, check_schema
from waybill.storage.database.storage import DatabaseStorage

from ..leased import claimed, result_of

JOB: dict[str, Any] = {
    "export_type": "users",
    "format": "csv",
    "options": {},
    "requested_by": "ann",
    "tenant": None,
    "max_attempts": 3,
}


@pytest.fixture
def shared(local_stack: LocalStack) -> Any:
    """A database in which nothing is found without its schema's name."""
    with temporary_database(local_stack) as dsn:
        execute(dsn, "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public',"
                " current_database()); END$$")  # fmt: skip
        yield dsn


def execute(dsn: str, *statements: str) -> list[Any]:
    rows: list[Any] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
    return rows


def names_in(dsn: str, schema: str) -> set[str]:
    found = execute(
        dsn,
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
        f" AND relnamespace = '{schema}'::regnamespace",
    )
    return {name for (name,) in found}


def functions_in(dsn: str, schema: str) -> set[str]:
    found = execute(
        dsn, f"SELECT proname FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace"
    )
    return {name for (name,) in found}


def at(settings: Settings, dsn: str, schema: str = "waybill") -> Settings:
    change = {"database_url": SecretStr(dsn), "database_schema": schema}
    return settings.model_copy(update=change)


def test_everything_of_ours_lies_in_one_schema(settings: Settings, shared: str) -> None:
    migrate(at(settings, shared))
    assert names_in(shared, "waybill") == TABLES
    # Of those that are declared here; other tests hold the rest.
    assert set(metadata.tables) <= TABLES
    assert functions_in(shared, "waybill") == FUNCTIONS
    assert names_in(shared, "public") == functions_in(shared, "public") == set()
    paths = execute(
        shared,
        "SELECT DISTINCT (SELECT c FROM unnest(proconfig) AS c WHERE c LIKE 'search_path%')"
        " FROM pg_proc WHERE pronamespace = 'waybill'::regnamespace",
    )
    assert paths == [("search_path=waybill, pg_temp",)]


async def test_service_needs_no_search_path_of_the_connection(
    settings: Settings, catalog: Catalog, shared: str, server_directory: Any
) -> None:
    migrate(at(settings, shared, "shop_exports"))
    with pgbouncer(shared, server_directory) as pooled:
        there = at(settings, pooled, "shop_exports")
        async with Services(there, catalog=catalog) as services:
            await services.ping_database()
            job = await services.repository.add(**JOB)
            lease = await claimed(services.leases, job)
            with CheckpointLog(pooled, lease, schema="shop_exports") as checkpoints:
                assert checkpoints.load() is None
            await services.sweeper.sweep()
            await services.sweeper.clean()
            await services.turns.tidy()
            # Whoever changes a row, from wherever: the triggers know where they are.
            execute(pooled, "UPDATE shop_exports.export_jobs SET status = 'queued',"
                    " lease_token = NULL, next_attempt_at = now()")  # fmt: skip
            assert await services.turns.next_due() == job.id
        storage = DatabaseStorage.from_settings(there)
        storage.put("a/b", b"bytes", content_type="text/csv")
        assert b"".join(storage.read("a/b")) == b"bytes"
    assert execute(shared, "SELECT count(*) FROM shop_exports.stored_objects") == [(1,)]
    assert names_in(shared, "public") == set()


async def test_two_services_in_one_database_share_nothing(
    settings: Settings, catalog: Catalog, shared: str
) -> None:
    here, there = (at(settings, shared, schema) for schema in ("waybill", "second"))
    migrate(here)
    migrate(there)
    assert read_queue_name(shared) != read_queue_name(shared, "second")
    async with Services(here, catalog=catalog) as ours, Services(there, catalog=catalog) as theirs:
        job = await ours.repository.add(**JOB)
        assert await theirs.repository.find(job.id) is None
        assert await theirs.turns.next_due() is None
        with psycopg.connect(shared, autocommit=True) as connection:
            connection.execute("LISTEN second_export_jobs; LISTEN waybill_export_jobs")
            await claimed(ours.leases, job)
            heard = {notice.channel for notice in connection.notifies(timeout=5, stop_after=1)}
            assert heard == {"waybill_export_jobs"}


async def test_earlier_installation_moves_with_its_jobs_and_rights(
    settings: Settings, catalog: Catalog, shared: str
) -> None:
    migrate(at(settings, shared, "public"), "0012")
    execute(
        shared,
        "INSERT INTO export_jobs (id, export_type, format, requested_by, max_attempts)"
        " VALUES (gen_random_uuid(), 'users', 'csv', 'ann', 3)",
        "CREATE TABLE orders (id int)",
        # Of a name that is ours later on, and theirs here.
        "CREATE TABLE dry_runs (boat text)",
        "DO $$BEGIN CREATE ROLE reader_of_jobs; EXCEPTION WHEN duplicate_object THEN END$$",
        "GRANT SELECT ON export_jobs TO reader_of_jobs",
    )
    migrate(at(settings, shared))
    assert names_in(shared, "public") == {"orders", "dry_runs"}
    assert names_in(shared, "waybill") == TABLES
    async with Services(at(settings, shared), catalog=catalog) as services:
        assert await services.turns.next_due() is not None
    assert execute(
        shared, "SET ROLE reader_of_jobs", "SELECT count(*) FROM waybill.export_jobs"
    ) == [(1,)]  # fmt: skip


def test_installation_that_was_put_in_public_stays_there(settings: Settings, shared: str) -> None:
    migrate(at(settings, shared, "public"))
    migrate(at(settings, shared))
    assert names_in(shared, "public") == names_in(shared, "waybill") == TABLES


@pytest.mark.parametrize("name", ["Waybill", "pg_ours", "way bill", "a" * 41, "", '"; DROP', "1a"])
def test_schema_is_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="small letters"):
        check_schema(name)


def test_role_that_may_not_make_a_schema_is_told_the_remedy(
    settings: Settings, shared: str
) -> None:
    execute(shared, "CREATE ROLE plain_owner LOGIN PASSWORD 'x'")
    try:
        plain = shared.replace(shared.split("@", maxsplit=1)[0], "postgresql://plain_owner:x")
        with pytest.raises(ConfigurationError, match="CREATE SCHEMA … AUTHORIZATION"):
            migrate(at(settings, plain))
        execute(shared, "CREATE SCHEMA waybill AUTHORIZATION plain_owner")
        migrate(at(settings, plain))
    finally:
        execute(shared, "DROP OWNED BY plain_owner CASCADE", "DROP ROLE plain_owner")


def test_autogenerate_of_the_application_leaves_ours_alone(
    settings: Settings, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = MetaData()
    # One of a name that is ours, too.
    Table("orders", theirs, Column("id", Integer, primary_key=True))
    Table("notifications", theirs, Column("id", Integer, primary_key=True))
    execute(
        shared,
        "CREATE TABLE orders (id int PRIMARY KEY)",
        "CREATE TABLE notifications (id int PRIMARY KEY)",
    )
    migrate(at(settings, shared))
    monkeypatch.setenv("WAYBILL_DATABASE_URL", shared)
    proposed = proposals(shared, theirs, include_name)
    assert proposed == []
    # Without it there is something to leave alone.
    assert "remove_table" in {each[0] for each in proposals(shared, theirs, None)}

    # In the schema that the application itself lives in, it is the names that tell.
    execute(shared, "DROP TABLE notifications", "DROP SCHEMA waybill CASCADE")
    theirs.remove(theirs.tables["notifications"])
    migrate(at(settings, shared, "public"))
    monkeypatch.setenv("WAYBILL_DATABASE_SCHEMA", "public")
    assert proposals(shared, theirs, include_name) == []


def proposals(dsn: str, metadata: MetaData, hook: Any) -> list[Any]:
    engine = create_engine(dsn.replace("://", "+psycopg://", 1))
    options = {"include_schemas": True, **({"include_name": hook} if hook else {})}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, metadata)
    engine.dispose()
    return [each for each in found if isinstance(each, tuple)]


async def test_printed_rights_are_enough_and_no_more(
    settings: Settings, catalog: Catalog, shared: str
) -> None:
    migrate(at(settings, shared))
    execute(shared, "CREATE ROLE plain_runner LOGIN PASSWORD 'x'")
    try:
        execute(shared, *own_grants("waybill", "plain_runner"))
        plain = shared.replace(shared.split("@", maxsplit=1)[0], "postgresql://plain_runner:x")
        async with Services(at(settings, plain), catalog=catalog) as services:
            await services.ping_database()
            job = await services.repository.add(**JOB)
            lease = await claimed(services.leases, job)
            assert await services.leases.complete(lease, result_of(lease))
            await services.audit.forget(timedelta(days=400), limit=10)
            await services.sweeper.sweep()
            await services.sweeper.clean()
            await services.admission.forget_keys()
        storage = DatabaseStorage.from_settings(at(settings, plain))
        storage.put("a/b", b"bytes", content_type="text/csv")
        storage.delete("a/b")
        for forbidden in (
            "UPDATE waybill.audit_events SET actor = NULL",
            "UPDATE waybill.service_identity SET id = gen_random_uuid()",
            "TRUNCATE waybill.export_jobs CASCADE",
            "CREATE TABLE waybill.mine (id int)",
            "DROP TABLE waybill.dry_runs",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                execute(plain, forbidden)
    finally:
        execute(shared, "DROP OWNED BY plain_runner CASCADE", "DROP ROLE plain_runner")
