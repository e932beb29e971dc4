"""The shop's own tests: an export through its sign-in, run in this process."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

import waybill.testing
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database

HERE = Path(__file__).parents[1]


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # SQLAlchemy looks names up there
    spec.loader.exec_module(module)
    return module


def test_people_export_the_orders_of_their_own_shop(
    local_stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with temporary_database(local_stack) as url:
        settings = waybill.testing.settings(url, tmp_path, catalog=str(HERE / "waybill.toml"))
        for name, value in {
            "DATABASE_URL": url.replace("://", "+psycopg://", 1),
            "WAYBILL_DATABASE_URL": url,
            "WAYBILL_CATALOG": settings.catalog,
            "WAYBILL_STORAGE": "directory",
            "WAYBILL_STORAGE_DIRECTORY": str(settings.storage_directory),
            "WAYBILL_REDIS_URL": settings.redis_url.get_secret_value(),
        }.items():
            monkeypatch.setenv(name, value)
        shop = load("shop")
        shop.Base.metadata.create_all(shop.engine)
        with Session(shop.engine) as database:
            database.add(shop.User(id=1, name="Ann", shop="north", token="ann"))
            database.add(shop.User(id=2, name="Bob", shop="south", token="bob"))
            database.flush()
            database.add(shop.Order(id=1001, shop="north", user_id=1, cents=500))
            database.add(shop.Order(id=1002, shop="south", user_id=2, cents=700))
            database.commit()
        with TestClient(shop.app) as client:
            assert client.post("/data/api/orders/export").status_code == 401
            answer = client.post("/data/api/orders/export", headers={"X-Token": "ann"})
            assert answer.status_code == 202, answer.text
            assert answer.json()["links"]["self"].startswith("http://testserver/data/api/exports/")
            other = client.get(answer.headers["location"], headers={"X-Token": "bob"})
            assert other.status_code == 404
        principal = waybill.Principal("2", tenant="south")
        export = waybill.testing.run_export(settings, "orders", principal)
        # The oldest job comes first: it was Ann's.
        assert export.job.status == "queued"
        export = waybill.testing.run_export(settings, "orders", principal)
        assert export.job.status == "completed"
        assert b"1002" in export.data
        assert b"1001" not in export.data
        shop.engine.dispose()


def test_ten_lines_are_enough() -> None:
    added = [line for line in (HERE / "shop.py").read_text().splitlines() if "# + waybill" in line]
    assert 0 < len(added) <= 10
    assert all(
        "# + waybill" in line
        for line in (HERE / "shop.py").read_text().splitlines()
        if "waybill." in line and not line.startswith('"""')
    )
