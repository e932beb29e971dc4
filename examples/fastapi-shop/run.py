"""Starts the shop with everything it needs on this machine: ``python run.py``, then
http://127.0.0.1:8000/docs. Ctrl-C ends it; the data stay in ``.shop``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from waybill.local.stack import LocalStack

HERE = Path(__file__).parent


def main() -> None:
    with LocalStack(Path(".shop")) as stack:
        url = stack.addresses.postgres_dsn
        os.environ.update(stack.as_environment())
        os.environ["DATABASE_URL"] = url.replace("://", "+psycopg://", 1)
        os.environ["WAYBILL_CATALOG"] = str(HERE / "waybill.toml")
        subprocess.run([sys.executable, "-m", "waybill", "migrate"], check=True)
        sys.path.insert(0, str(HERE))
        import shop
        import uvicorn
        from sqlalchemy.orm import Session

        shop.Base.metadata.create_all(shop.engine)
        with Session(shop.engine) as database:
            if database.get(shop.User, 1) is None:
                database.add(shop.User(id=1, name="Ann", shop="north", token="ann"))
                database.flush()
                database.add_all(
                    shop.Order(shop="north", user_id=1, cents=100 * n) for n in range(10_000)
                )
                database.commit()
        others = [
            subprocess.Popen([sys.executable, "-m", "waybill", role])
            for role in ("worker", "scheduler")
        ]
        try:
            uvicorn.run(shop.app, port=8000)
        finally:
            for process in others:
                process.terminate()
            for process in others:
                process.wait()


if __name__ == "__main__":
    main()
