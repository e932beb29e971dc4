"""The example is started by its one command, on the session's servers, and exports."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys

import pytest
from django.core.management import call_command
from psycopg.conninfo import conninfo_to_dict

from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database

from .conftest import EXAMPLE


def test_shop_opens_and_ann_exports_her_orders(local_stack: LocalStack) -> None:
    with temporary_database(local_stack) as dsn, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        there = conninfo_to_dict(dsn)
        theirs = local_stack.as_environment()
        del theirs["WAYBILL_DATABASE_URL"]
        theirs.pop("WAYBILL_SOURCE_DSN", None)
        environment = {
            **os.environ, **theirs,
            "PGDATABASE": str(there["dbname"]), "PGUSER": str(there["user"]),
            "PGPASSWORD": str(there.get("password", "")), "PGHOST": str(there["host"]),
            "PGPORT": str(there["port"]),
            "WAYBILL_REDIS_URL": local_stack.valkey.url(6),
            "WAYBILL_WORKER_CONCURRENCY": "1",
            "WAYBILL_S3_PREFIX": f"test-{secrets.token_hex(6)}",
        }  # fmt: skip
        tried = subprocess.run(
            [sys.executable, "run.py", "--try", "--orders=300", f"--port={port}"],
            cwd=EXAMPLE,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
    assert "Ann exported 300 orders." in tried.stdout, tried.stdout + tried.stderr
    assert tried.returncode == 0


@pytest.mark.usefixtures("shop")
def test_makemigrations_of_the_shop_proposes_nothing() -> None:
    # Ends by SystemExit when there is a change to make.
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    call_command("migrate", check_unapplied=True, verbosity=0)
