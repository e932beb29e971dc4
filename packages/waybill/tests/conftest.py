"""Fixtures on the session's one embedded stack. Real servers throughout; no mock of any."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType, TableSource
from waybill.clock import SystemClock
from waybill.config import Settings
from waybill.local.faults.servers import Programs
from waybill.local.sample import create_users
from waybill.local.service_stack import RunningService, running_service, settings_of
from waybill.local.stack import LocalStack
from waybill.local.testing import local_stack, make_template, temporary_database
from waybill.migrations.run import migrate

from .neighbours import place_of, program_of

__all__ = ["local_stack"]

SHARED_DATA = Path(__file__).parents[4] / "shared" / "data"
SAMPLE_USERS = 2_000


@pytest.fixture(scope="session")
def find_program() -> Callable[[str, str], str]:
    """Return where a program is, given its name and its Debian package.

    Without it the test is skipped on people's machines; where tests decide (``CI``), it fails.
    """

    def find(program: str, package: str) -> str:
        found = shutil.which(program)
        if found is None:
            reason = f"needs {program}: apt-get install {package}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        return found

    return find


@pytest.fixture(scope="session")
def find_neighbour() -> Callable[[str, str], str]:
    """Return where a program of one of ``make neighbours`` is, given the neighbour and the program.

    Skipped or failed without it, as by ``find_program``.
    """

    def find(neighbour: str, program: str) -> str:
        try:
            return str(program_of(neighbour, program))
        except FileNotFoundError as exc:
            if os.environ.get("CI"):
                pytest.fail(str(exc))
            pytest.skip(str(exc))

    return find


@pytest.fixture
def pagila_dump() -> Path:
    """The Pagila dump, which lies beside the checkout and never in it."""
    path = SHARED_DATA / "pagila.sql.gz"
    if not path.is_file():
        pytest.skip(f"needs the Pagila dump at {path}")
    return path


@pytest.fixture(scope="session")
def template(local_stack: LocalStack) -> str:
    """A database with waybill's tables and 2,000 sample users, to be copied per test."""

    def prepare(dsn: str) -> None:
        migrate(settings_of(local_stack, database_url=dsn))
        create_users(dsn, SAMPLE_USERS)

    return make_template(local_stack, prepare)


@pytest.fixture
def database(local_stack: LocalStack, template: str) -> Iterator[str]:
    """The DSN of a migrated database of the test's own."""
    with temporary_database(local_stack, template) as dsn:
        yield dsn


@pytest.fixture
def execute(database: str) -> Iterator[Callable[..., list[tuple[object, ...]]]]:
    """Run SQL in the test's database; returns the rows, if there are any."""
    with psycopg.connect(database, autocommit=True) as connection:

        def run(statement: str, *values: object) -> list[tuple[object, ...]]:
            # The tests' own text, never anybody's input.
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def settings(local_stack: LocalStack, database: str) -> Settings:
    """Settings of a service on the test's own database, bucket prefix and Redis database."""
    return settings_of(
        local_stack,
        database_url=database,
        source_dsn=database,
        # Not that of ``running``, whose worker would take the messages.
        redis_url=local_stack.valkey.url(1),
        s3_prefix=f"test-{secrets.token_hex(6)}",
        development_token="test-token",
        quota_per_day="unlimited",
        requests_burst=10_000,
        address_requests_burst=100_000,
        max_watchers_per_person=1_000,
        # A message runs one job, unless that is what a test is about.
        small_jobs_together=1,
        log_level="WARNING",
    )


@pytest.fixture
def catalog() -> Catalog:
    """The sample users."""
    return Catalog([ExportType("users", TableSource("public", "users"), key=("id",))])


class MovableClock(SystemClock):
    """A clock that tests move."""

    def __init__(self) -> None:
        super().__init__()
        self.offset_seconds = 0.0

    def advance(self, *, days: float = 0, seconds: float = 0) -> None:
        """Let time pass."""
        self.offset_seconds += days * 86_400 + seconds
        super().__init__(self.offset_seconds)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def services(
    settings: Settings, catalog: Catalog, clock: MovableClock, local_stack: LocalStack
) -> AsyncIterator[Services]:
    """The services of one process, in this process."""
    async with Services(settings, catalog=catalog, clock=clock) as services:
        yield services


@dataclasses.dataclass(frozen=True)
class RunningProcesses:
    """A whole service: processes, address, token."""

    service: RunningService
    dsn: str = dataclasses.field(repr=False)

    @property
    def url(self) -> str:
        return self.service.endpoint.url

    @property
    def token(self) -> str:
        return self.service.endpoint.token


@pytest.fixture(scope="session")
def running(
    local_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProcesses]:
    """API, worker and scheduler as real processes on the stack's main database, with the sample
    users as ``users``, an empty table ``nobody``, and ``doubled``, whose key is not unique."""
    dsn = local_stack.addresses.postgres_dsn
    create_users(dsn, SAMPLE_USERS)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS nobody (id int PRIMARY KEY, name text)")
        connection.execute("CREATE TABLE IF NOT EXISTS doubled AS SELECT 1 AS id FROM users")
    path = tmp_path_factory.mktemp("catalog") / "waybill.toml"
    path.write_text(
        '[exports.users]\ntable = "public.users"\nkey = "id"\n\n'
        '[exports.nobody]\ntable = "public.nobody"\nkey = "id"\n\n'
        '[exports.doubled]\ntable = "public.doubled"\nkey = "id"\n',
        encoding="utf-8",
    )
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(running_service(local_stack, catalog=str(path)))
        yield RunningProcesses(service, dsn)


@pytest.fixture(scope="session")
def debian_programs() -> Programs:
    """PostgreSQL 15 as Debian has it: with ICU, and with glibc's locales."""
    directory = Path("/usr/lib/postgresql/15/bin")
    if not (directory / "postgres").is_file() or shutil.which("localedef") is None:
        reason = "needs PostgreSQL 15 and glibc's locales: apt-get install postgresql-15 locales"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return Programs(directory)


@pytest.fixture(scope="session")
def old_programs(find_neighbour: Callable[[str, str], str]) -> Callable[[str], Programs]:
    """Return the programs of a PostgreSQL of ``make neighbours``, given its version."""

    def find(version: str) -> Programs:
        name = f"postgresql-{version}"
        server = Path(find_neighbour(name, "postgres"))
        # pg_basebackup of a newer version copies older servers.
        return Programs(server.parent, package=place_of(name), clients=Programs.of_the_wheel())

    return find


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """A directory for servers of the test's own, which the account they run as can reach."""
    directory = Path(tempfile.mkdtemp(prefix="waybill-servers-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
