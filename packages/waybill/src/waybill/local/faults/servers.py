"""PostgreSQL servers of a test's own: any version's programs, locales of its own, standbys.

Trust authentication on a loopback port, durability off: for data that a test throws away. Each
server stops with its block, by its own process id.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Self

import psycopg

from waybill.local.account import Account, executable_by, named_account
from waybill.local.binaries import postgres_binary
from waybill.local.ports import LOOPBACK, draw_free_port

_READY_SECONDS = 60.0
_SETTINGS = (
    f"listen_addresses={LOOPBACK}",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=60",
    "shared_buffers=64MB",
    "wal_level=replica",
    "hot_standby=on",
    # As the embedded one's: the tests' own questions name no schema.
    "search_path=public, waybill",
)


class Programs:
    """Where one version's programs are.

    Args:
        directory: of the programs.
        package: what is copied as a whole for an account that can't reach it.
        clients: where those programs are that this version comes without (``pg_basebackup``).
    """

    def __init__(
        self, directory: Path, *, package: Path | None = None, clients: Programs | None = None
    ) -> None:
        self._directory = directory
        self._package = package
        self._clients = clients

    @classmethod
    def of_the_wheel(cls) -> Self:
        """Return the embedded PostgreSQL's."""
        postgres = postgres_binary("postgres")
        return cls(postgres.parent, package=postgres.parents[2])

    def find(self, name: str, account: Account | None) -> str:
        """Return a path of ``name`` that ``account`` can execute."""
        program = self._directory / name
        if self._clients is not None and not program.exists():
            return self._clients.find(name, account)
        if self._package is None:
            return str(program)
        return str(executable_by(account, program, self._package))


class Server:
    """One server and its data directory, which lies below ``directory``.

    Args:
        programs: of which version.
        directory: made by the caller; handed to the account PostgreSQL runs as.
        environment: for locales (``LOCPATH``), beside ``PATH``.
    """

    def __init__(
        self, programs: Programs, directory: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self._programs = programs
        self._account = named_account()  # initdb insists on a name; nothing here is secret
        self._directory = directory
        self._data = directory / "data"
        self._environment = {"PATH": os.defpath, "LC_ALL": "C", **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = draw_free_port()
        directory.mkdir(parents=True, exist_ok=True)
        self._own(directory)

    def dsn(self, database: str = "postgres") -> str:
        """Return the libpq URL of a database."""
        return f"postgresql://postgres@{LOOPBACK}:{self.port}/{database}"

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return self._data

    def make(self, *options: str) -> None:
        """Make the data directory with ``initdb`` and further options of its."""
        self.run(
            "initdb", "--username=postgres", "--auth=trust", "--no-sync", *options,
            "-D", "data",
        )  # fmt: skip

    def copy_of(self, primary: Server) -> None:
        """Make the data directory as a standby of ``primary``, by ``pg_basebackup``."""
        self.run(
            "pg_basebackup", "-D", "data", "-R", "-c", "fast", "-X", "stream", "--no-sync",
            "-h", LOOPBACK, "-p", str(primary.port), "-U", "postgres",
        )  # fmt: skip

    def restore_from(self, other: Server) -> None:
        """Make the data directory as it is in that of ``other``, which has stopped."""
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.copytree(other.data, self._data, symlinks=True)
        for path in (self._data, *self._data.rglob("*")):
            self._own(path)

    def start(self, *settings: str) -> None:
        """Start, and wait until it takes connections."""
        arguments = [part for setting in (*_SETTINGS, *settings) for part in ("-c", setting)]
        with (self._directory / "server.log").open("ab") as log:
            self._process = self._spawn(
                "postgres", "-D", "data", "-p", str(self.port), *arguments, log=log
            )
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn(), connect_timeout=2).close()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self._directory / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"PostgreSQL did not start:\n{said}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: ``SIGINT`` ends sessions, ``SIGQUIT`` is a crash."""
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(_READY_SECONDS)
        self._process = None

    def promote(self) -> None:
        """Make a standby a primary, and wait until it is one."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 60)")

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements, each by itself; returns the last one's rows."""
        rows: list[tuple[object, ...]] = []
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def wait_replayed(self, primary: Server) -> None:
        """Wait until this standby has replayed what ``primary`` has written."""
        ((target,),) = primary.execute("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn")
        deadline = time.monotonic() + _READY_SECONDS
        while self.execute(f"SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn >= {target}") != [
            (True,)
        ]:
            if time.monotonic() > deadline:
                raise RuntimeError("The standby does not follow.")
            time.sleep(0.02)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its version's programs in the server's directory, to its end."""
        process = self._spawn(program, *arguments, log=subprocess.PIPE)
        said, _ = process.communicate(timeout=300)
        if process.returncode:
            raise RuntimeError(f"{program} failed:\n{said.decode(errors='replace')}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)

    def _spawn(
        self, program: str, *arguments: str, log: IO[bytes] | int
    ) -> subprocess.Popen[bytes]:
        account = self._account
        # S603: PostgreSQL's own programs, with arguments of the tests'.
        return subprocess.Popen(  # noqa: S603
            [self._programs.find(program, account), *arguments],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else (),
            start_new_session=True,
        )

    def _own(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)


@contextlib.contextmanager
def server(
    programs: Programs,
    directory: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A running server for the block, made with ``initdb`` and its ``options``."""
    with Server(programs, directory, environment=environment) as made:
        made.make(*options)
        made.start()
        yield made


def make_locale(directory: Path, name: str, definition: Path | str) -> None:
    """Compile a locale below ``directory``, for servers with ``LOCPATH`` set to it.

    ``definition`` is one of glibc's sources (``en_US``) or a file; compiling another under the same
    ``name`` is what an upgraded system does to a database.
    """
    directory.mkdir(parents=True, exist_ok=True)
    program = shutil.which("localedef") or "/usr/bin/localedef"
    target = directory / name
    shutil.rmtree(target, ignore_errors=True)
    # S603: glibc's own program. 1: it warns of the sources it comes with.
    result = subprocess.run(  # noqa: S603
        [program, "--no-archive", "-i", str(definition), "-f", "UTF-8", str(target)],
        check=False,
        capture_output=True,
        text=True,
    )
    if not (target / "LC_COLLATE").is_file():
        raise RuntimeError(f"localedef failed: {result.stderr[-2000:]}")
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
