"""PgBouncer, in front of a server of a test's own."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict

from waybill.local.account import named_account
from waybill.local.ports import LOOPBACK, draw_free_port

_READY_SECONDS = 30.0


@contextmanager
def pgbouncer(
    dsn: str,
    directory: Path,
    *,
    mode: Literal["session", "transaction"] = "transaction",
    pool_size: int = 2,
) -> Iterator[str]:
    """PgBouncer for the block, which lends so many connections to the server of ``dsn``.

    Yields the DSN by which its clients come.
    """
    server = conninfo_to_dict(dsn)
    # S607: Debian keeps it out of the PATH of those who are not root.
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    port = draw_free_port()
    settings = directory / f"pgbouncer-{port}.ini"
    password = f" password={server['password']}" if server.get("password") else ""
    settings.write_text(
        f"[databases]\n* = host={server['host']} port={server['port']} user={server['user']}"
        f"{password} pool_size={pool_size}\n"
        f"[pgbouncer]\nlisten_addr={LOOPBACK}\nlisten_port={port}\nauth_type=any\n"
        f"pool_mode={mode}\nunix_socket_dir=\n"
    )
    # It does not run as root, and insists on an account with a name.
    account = named_account()
    # S603: a test's own server.
    process = subprocess.Popen(  # noqa: S603
        [program, "-q", *(["-u", account.name] if account else []), str(settings)],
        stderr=subprocess.DEVNULL,
    )
    try:
        pooled = f"postgresql://anybody@{LOOPBACK}:{port}/{server['dbname']}"
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(pooled):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("PgBouncer did not start.")
            time.sleep(0.02)
        yield pooled
    finally:
        process.terminate()
        process.wait(_READY_SECONDS)


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
