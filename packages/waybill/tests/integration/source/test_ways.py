"""The oldest PostgreSQL that is supported, Debian's and the newest, reached in each way that people
reach one: a whole export, verified.

``WAYBILL_TESTS_POSTGRESQL=13`` puts another of ``make neighbours`` in the oldest's place.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from waybill.catalog import TableSource
from waybill.local.faults.poolers import pgbouncer
from waybill.local.faults.servers import Programs, Server

ROWS = 3_000


@pytest.fixture(scope="module")
def places() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="waybill-servers-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


OLDEST = os.environ.get("WAYBILL_TESTS_POSTGRESQL", "12")


@pytest.fixture(scope="module", params=["18", "15", OLDEST])
def primary(
    request: pytest.FixtureRequest,
    debian_programs: Programs,
    old_programs: Callable[[str], Programs],
    places: Path,
) -> Iterator[tuple[str, Programs, Server]]:
    version = str(request.param)
    programs = {"15": lambda: debian_programs, "18": Programs.of_the_wheel}.get(
        version, lambda: old_programs(version)
    )()
    server = Server(programs, places / version)
    server.make("--locale=C", "--encoding=UTF8")
    server.start()
    server.execute(
        "CREATE TABLE things AS SELECT n AS id, now() AS at, repeat('x', n % 50) AS name"
        f" FROM generate_series(1, {ROWS}) n",
        "ALTER TABLE things ADD PRIMARY KEY (id)",
    )
    yield version, programs, server
    server.stop(signal.SIGQUIT)


@pytest.fixture(params=["direct", "PgBouncer session", "PgBouncer transaction", "standby"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dsn(primary: tuple[str, Programs, Server], way: str, places: Path) -> Iterator[str]:
    """Where ``export`` reads from."""
    version, programs, server = primary
    with ExitStack() as stack:
        if way == "standby":
            standby = Server(programs, places / f"{version}-standby")
            standby.copy_of(server)
            standby.start()
            stack.callback(standby.stop, signal.SIGQUIT)
            yield standby.dsn()
        elif way == "direct":
            yield server.dsn()
        else:
            mode: Any = way.removeprefix("PgBouncer ")
            yield stack.enter_context(pgbouncer(server.dsn(), places, mode=mode, pool_size=4))


@pytest.mark.cell(
    "PostgreSQL 18", "direct", "PgBouncer session", "PgBouncer transaction", "standby"
)
@pytest.mark.cell(
    "PostgreSQL 12", "direct", "PgBouncer session", "PgBouncer transaction", "standby"
)
@pytest.mark.cell(
    "PostgreSQL 15", "direct", "PgBouncer session", "PgBouncer transaction", "standby"
)
def test_whole_export_comes_from_each_server_in_each_way(
    request: pytest.FixtureRequest,
    primary: tuple[str, Programs, Server],
    way: str,
    dsn: str,
    export: Callable[..., Any],
) -> None:
    version, _, _ = primary
    declared = {
        (mark.args[0], each) for mark in request.node.iter_markers("cell") for each in mark.args[1:]
    }
    assert (f"PostgreSQL {version}", way) in declared or version == OLDEST != "12"
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.info.server_version // 10_000 == int(version)
        standing_by = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    assert standing_by == (way == "standby",)
    done = export(TableSource("public", "things"), key=("id",))
    assert done.manifest.rows == ROWS
    assert done.data.count(b"\r\n") == ROWS + 1
