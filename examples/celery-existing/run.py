"""Starts the application with everything it needs on this machine: ``python run.py``. Ctrl-C ends
it; the data stay in ``.app``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from waybill.local.sample import create_users
from waybill.local.stack import LocalStack

HERE = Path(__file__).parent


def main() -> None:
    with LocalStack(Path(".app").absolute()) as stack:
        os.environ.update(stack.as_environment())
        os.environ["BROKER_URL"] = stack.addresses.redis_url
        os.environ["WAYBILL_CATALOG"] = str(HERE / "waybill.toml")
        create_users(stack.addresses.postgres_dsn, 10_000)
        subprocess.run([sys.executable, "-m", "waybill", "migrate"], check=True)
        api, worker = (
            subprocess.Popen([sys.executable, "-m", *arguments.split()], cwd=HERE)
            for arguments in ("uvicorn app.main:app", "celery -A app.worker worker -B -c 2")
        )
        try:
            api.wait()
        finally:
            for process in (api, worker):
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
