"""Every name that waybill writes into SQL for a source says its schema: nobody can stand in for it.

A schema is made with a twin of each function, operator, type and relation that PostgreSQL ships,
and searched *before* ``pg_catalog``, as no source can have it. What runs then under a bare name is
the twin, which raises. So a statement that is written next year is held to it as well: whatever
init, check, previews, exports, streams, readers and resumed attempts run, the server's own log has
no error in it, and no statement outside of a transaction that began with our settings.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import func, update

from waybill.bootstrap.everything import Services
from waybill.catalog import (
    Catalog,
    Column,
    ExportType,
    Filter,
    QuerySource,
    RowScope,
    TableSource,
    foreign,
)
from waybill.catalog.check import check_catalog
from waybill.catalog.inspect import inspect_database
from waybill.config import Settings
from waybill.jobs.job import ExportJob
from waybill.jobs.tables import export_jobs as jobs
from waybill.local.faults.servers import Programs, Server
from waybill.pipeline.readers import Parallel
from waybill.principal import Principal
from waybill.requests.request import ExportRequest
from waybill.run import produce
from waybill.run.runner import Outcome

# ``trigger_in`` raises, whatever it is called with.
_TWINS = r"""
CREATE SCHEMA hostile;
DO $do$
DECLARE twin text;
BEGIN
  FOR twin IN
    SELECT format('CREATE DOMAIN hostile.%I AS %s CHECK (false)', typname, format_type(oid, NULL))
    FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b'
      AND typcategory <> 'A'
    UNION ALL
    SELECT format('CREATE TABLE hostile.%I (planted int)', relname)
    FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')
    UNION ALL
    SELECT format('CREATE FUNCTION hostile.%I(%s) RETURNS %s %s LANGUAGE internal AS %L',
        proname, (SELECT string_agg(
            CASE WHEN n = pronargs AND provariadic <> 0 THEN 'VARIADIC ' ELSE '' END
            || format_type(t, NULL), ', ' ORDER BY n)
            FROM unnest(proargtypes) WITH ORDINALITY AS a (t, n)),
        CASE WHEN proretset THEN 'SETOF' ELSE '' END, format_type(prorettype, NULL), 'trigger_in')
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
  LOOP
    BEGIN
      EXECUTE twin;
    EXCEPTION WHEN duplicate_object OR duplicate_function OR invalid_function_definition THEN
      NULL;  -- two of one signature, or a pseudo-type that only a function in C may return
    END;
  END LOOP;
  FOR twin IN
    SELECT format('CREATE FUNCTION hostile.planted_%s(%s) RETURNS %s LANGUAGE internal AS %L;'
        'CREATE OPERATOR hostile.%s (%s RIGHTARG = %s, FUNCTION = hostile.planted_%1$s)', o.oid,
        concat_ws(', ', CASE WHEN oprleft <> 0 THEN format_type(oprleft, NULL) END,
                  format_type(oprright, NULL)),
        format_type(oprresult, NULL), 'trigger_in', oprname,
        CASE WHEN oprleft <> 0 THEN 'LEFTARG = ' || format_type(oprleft, NULL) || ',' END,
        format_type(oprright, NULL))
    FROM pg_operator AS o WHERE oprnamespace = 'pg_catalog'::regnamespace
  LOOP
    EXECUTE twin;
  END LOOP;
END $do$;
"""
_TABLES = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN label AS text CHECK (value <> '');
CREATE TABLE things (code varchar(20) NOT NULL, id bigint NOT NULL, note text, at timestamptz
    NOT NULL, at_local timestamp, ok bool, fixed char(3), tags text[], raw bytea, feeling mood,
    name label, amount numeric, PRIMARY KEY (code, id));
INSERT INTO things SELECT 'c' || n % 7, n, '=1+' || n, now(), now(), true, 'a',
    '{x}', 'r', 'ok', 'l', n / 7.0 FROM generate_series(1, 2000) AS n;
CREATE TABLE moods (feeling mood PRIMARY KEY, v int);
INSERT INTO moods VALUES ('ok', 1), ('sad', 2);
CREATE FUNCTION hidden() RETURNS SETOF moods LANGUAGE plpgsql AS
    $$ BEGIN RETURN QUERY SELECT * FROM public.moods; END $$;
CREATE SCHEMA extensions;
CREATE EXTENSION citext SCHEMA extensions;
CREATE TABLE people (email extensions.citext PRIMARY KEY, note text);
INSERT INTO people SELECT CASE WHEN n % 2 = 0 THEN 'U' ELSE 'u' END || lpad(n::text, 5, '0'),
    repeat(md5(n::text), 27) FROM generate_series(1, 14000) AS n;
CREATE VIEW seen AS SELECT * FROM things;
ANALYZE;
"""
_FILTERS = (
    Filter("code"), Filter("id", "integer"), Filter("at", "timestamptz"), Filter("ok", "boolean"),
    Filter("feeling", operators=("eq", "in", "gte"), values=("ok", "sad")), Filter("name"),
    Filter("amount", "number"), Filter("at_local", "timestamp"),
)  # fmt: skip


def _things(name: str, **rest: Any) -> ExportType:
    return ExportType(
        name, rest.pop("source", TableSource("public", "things")), key=("code", "id"),
        filters=_FILTERS, since="at", search_path=("public",), **rest,
    )  # fmt: skip


TYPES = (
    _things("things"),
    _things("columns", columns=(Column("code"), Column("id"), Column("at"))),
    ExportType("hidden", QuerySource("SELECT * FROM public.hidden()"), key=("feeling",)),
    # Its order is to be proven, and its operators are none of those that are searched.
    ExportType("people", TableSource("public", "people"), key=("email",), consistency="resumable"),
    _things("seen", source=TableSource("public", "seen")),
    _things("query", source=QuerySource("SELECT * FROM things")),
    _things("scoped", scope=RowScope("code OPERATOR(pg_catalog.=) :principal.tenant")),
    ExportType("moods", TableSource("public", "moods"), key=("feeling",), since=""),
)
_MARKS = (
    "LOCK TABLE", "COPY (", "EXPLAIN", "pg_export_snapshot", "SET TRANSACTION", "DECLARE",
    "pg_control_system", "enable_sort", "default_one", "pg_rewrite",
)  # fmt: skip
"""Of statements that only some of all reads run: they were among what was held to it."""
_GIVEN_UP = {
    "canceling statement due to user request", "connection to client lost",
}  # fmt: skip
"""What a server says of a read that was broken off, if it had not sent all its rows by then."""
WANTED: dict[str, dict[str, Any]] = {
    "code": {"ne": "c9", "in": ["c1", "c2", 'c"3'], "prefix": "c", "gte": "c1", "is_null": False},
    "id": {"lte": 4000, "in": [*range(1, 90)], "ne": 3},
    "at": {"lt": "2126-01-01T00:00:00Z"},
    "at_local": {"lt": "2126-01-01T00:00:00"},
    "ok": {"eq": True},
    "feeling": {"eq": "ok", "in": ["ok", "sad"], "gte": "sad"},
    "name": {"eq": "l", "prefix": "l"},
    "amount": {"gte": 0.5, "lt": 9999},
}


@pytest.fixture
def source(server_directory: Path) -> Iterator[Server]:
    with Server(Programs.of_the_wheel(), server_directory / "source") as server:
        server.make("--locale=C", "--encoding=UTF8")
        server.start("log_statement=all", "log_line_prefix=%c|%a|")
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(_TABLES.encode())
            connection.execute(_TWINS.encode())
        yield server


@pytest.fixture
def settings(settings: Settings, source: Server) -> Settings:
    small = {"part_bytes": 5 * 1024 * 1024, "checkpoint_seconds": 0.0, "source_readers": 3}
    return settings.model_copy(update={"source_dsn": SecretStr(source.dsn()), **small})


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(TYPES)


@pytest.fixture
def hostile_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "OWN_PATH", ("hostile", "pg_catalog", "pg_temp"))
    small = {"smallest_rows": 1, "range_bytes": 200_000, "first_rows": 50}
    monkeypatch.setattr(produce, "Parallel", partial(Parallel, **small))


def _log(server: Server) -> dict[str, list[tuple[str, str]]]:
    """Return what each session of waybill's did: kinds and texts."""
    text = (server.data.parent / "server.log").read_text()
    entries = re.findall(
        r"^([0-9a-f]+\.[0-9a-f]+)\|(waybill[^|]*)\|(\w+):  (.*(?:\n\t.*)*)", text, re.MULTILINE
    )
    sessions: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for session, _, kind, entry in entries:
        sessions[session].append((kind, entry))
    return sessions


async def _run_all(
    services: Services, add: Callable[..., Awaitable[ExportJob]], break_off: Callable[..., None]
) -> None:
    ann = Principal("ann", tenant="c1")
    for each in TYPES:
        name = each.name
        options: dict[str, Any] = {}
        if each.filters:
            options = {"filters": WANTED, "since": "2000-01-01T00:00:00+00:00"}
        formats = ("csv", "json", "ndjson", "parquet", "xlsx") if name == "things" else ("csv",)
        for chosen in formats:
            job = await add(
                export_type=name, format=chosen, tenant="c1", options=options, max_attempts=1
            )
            assert await services.runner.run(job.id) is Outcome.COMPLETED, (name, chosen)
        job = await add(export_type=name, tenant="c1")  # all rows, in ranges where that can be
        assert await services.runner.run(job.id) is Outcome.COMPLETED, name
        stream = await services.streams.open(ann, ExportRequest(name, "csv"))
        while await stream.next() is not None:
            pass
        await stream.close()
        previewed, _ = await services.exports.preview(ann, ExportRequest(name, "csv"))
        assert previewed.rows.rows
    # A job that is resumed.
    job = await add(export_type="people")
    break_off(8000)
    assert await services.runner.run(job.id) is Outcome.RETRIED
    break_off(None)
    async with services.engine.begin() as connection:
        await connection.execute(
            update(jobs).where(jobs.c.id == job.id).values(next_attempt_at=func.now())
        )
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    manifest = await services.repository.find_manifest(job.id) or {}
    assert (manifest["rows"], len(manifest["segments"])) == (14_000, 2)


@pytest.mark.usefixtures("hostile_first")
async def test_nothing_that_runs_on_a_source_is_written_without_its_schema(
    source: Server,
    services: Services,
    add: Callable[..., Awaitable[ExportJob]],
    break_off: Callable[[int | None], None],
) -> None:
    with psycopg.connect(source.dsn(), autocommit=True) as connection:
        connection.execute("SET search_path = hostile, pg_catalog, public")
        for trap in ("SELECT length('x')", "SELECT 1 + 1", "SELECT 'x'::text", "SELECT count(*)",
                     "SELECT relname FROM pg_class", "SELECT 1 IN (1)"):  # fmt: skip
            with pytest.raises(psycopg.Error):
                connection.execute(trap.encode())

    inspection = inspect_database(source.dsn(), ["public"])
    assert {table.export_type.name for table in inspection.tables} == {
        "things", "moods", "seen", "people"
    }  # fmt: skip
    findings = check_catalog(services.catalog, source.dsn())
    assert [each for each in findings if each.severity == "error"] == []
    await _run_all(services, add, break_off)

    sessions = _log(source)
    assert [entry for session in sessions.values() for kind, entry in session
            if kind in {"ERROR", "FATAL"} and entry not in _GIVEN_UP] == []  # fmt: skip
    everything = "\n".join(entry for session in sessions.values() for _, entry in session)
    for mark in _MARKS:
        assert mark in everything, mark
    for session in sessions.values():
        is_open = False
        for kind, entry in session:
            statement = re.match(r"(?:statement|execute [^:]+): (.*)", entry, re.DOTALL)
            if kind != "LOG" or statement is None:
                continue
            said = statement[1]
            if not is_open:
                assert re.match(r"BEGIN ISOLATION LEVEL [A-Z ]+ READ ONLY; SET LOCAL search_path"
                                " = ", said), said  # fmt: skip
            is_open = said != "ROLLBACK"
            assert not re.match("COMMIT", said)
