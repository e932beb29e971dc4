"""The Python of docs/embedding.md runs as it stands, each block beside what its section names."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import boto3
import psycopg
import pytest
from celery import Celery
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from sqlalchemy import MetaData, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import waybill.celery
import waybill.testing
from waybill.catalog import Column
from waybill.config import Settings
from waybill.local.service_stack import settings_of
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.migrations.run import migrate

from ..urls import sqlalchemy_url

ROOT = Path(__file__).parents[5]
SHOP = ROOT / "examples" / "fastapi-shop"
GUIDE = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")


def blocks() -> dict[str, str]:
    """Return the guide's Python by the heading that it stands below, which has one block each."""
    found: dict[str, str] = {}
    heading = ""
    for title, code in re.findall(
        r"^#{2,3} ([^\n]+)$|^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE
    ):
        heading = title or heading
        if code:
            assert heading not in found, f"two blocks below {heading!r}"
            found[heading] = code
    return found


BLOCKS = blocks()


def run(heading: str, **names: Any) -> dict[str, Any]:
    """Run a block; returns the names that there are then."""
    names.setdefault("waybill", waybill)
    code = compile(BLOCKS[heading], "docs/embedding.md", "exec", dont_inherit=True)
    exec(code, names)  # noqa: S102 - the guide's own example
    return names


def test_every_block_is_tried_here() -> None:
    tried = set(re.findall(r'run\(\s*"([^"]+)"', Path(__file__).read_text(encoding="utf-8")))
    assert tried == set(BLOCKS)


@pytest.fixture
def environment(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the test's service as an application finds them."""
    (tmp_path / "waybill.toml").write_text(
        '[exports.users]\ntable = "public.users"\nkey = "id"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "S3_ENDPOINT_URL": str(settings.s3_endpoint_url),
        "CATALOG": "waybill.toml",
        "QUOTA_PER_DAY": "unlimited",
    }.items():
        monkeypatch.setenv(f"WAYBILL_{name}", value)
    return settings


@pytest.mark.usefixtures("environment")
def test_routes_of_the_guide_ask_the_application_s_sign_in() -> None:
    class User:
        id, shop, email = 7, "north", "ann@example.com"

    def current_user() -> User:
        return User()

    app = FastAPI()
    run(
        "FastAPI",
        app=app, User=User, current_user=current_user, Annotated=Annotated, Depends=Depends,
    )  # fmt: skip
    with TestClient(app) as visitor:
        made = visitor.post("/data/api/users/export")
        assert made.status_code == 202, made.text
        assert visitor.get(made.headers["location"]).json()["status"] == "queued"


@pytest.mark.usefixtures("environment")
def test_celery_of_the_guide_has_our_tasks_and_hooks() -> None:
    app = Celery("shop", set_as_current=False)
    run("Your Celery", app=app)
    assert "waybill.sweep" in app.tasks
    notes: list[tuple[Any, ...]] = []
    crm = SimpleNamespace(note=lambda *said: notes.append(said))
    from waybill.jobs.job import ExportJob

    names = run("Hooks", app=Celery("other", set_as_current=False), crm=crm, ExportJob=ExportJob)
    names["tell_crm"](SimpleNamespace(requested_by="ann", rows_done=3, export_type="users"))
    assert notes == [("ann", "took 3 rows of users")]


def test_column_of_the_guide_is_computed(local_stack: LocalStack, tmp_path: Path) -> None:
    class Base(DeclarativeBase):
        pass

    class Customer(Base):
        __tablename__ = "customer"
        id: Mapped[int] = mapped_column(primary_key=True)
        first_name: Mapped[str] = mapped_column(info={"pii": True})
        last_name: Mapped[str] = mapped_column(info={"pii": True})

    names = run("Columns that Python computes", Any=Any, Customer=Customer)
    (computed,) = [column for column in names["catalog"]["customers"].columns if column.computed]
    assert (computed.header, computed.pii) == ("full_name", "exports:pii")
    with temporary_database(local_stack) as url:
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(
                "CREATE TABLE customer (id int PRIMARY KEY, first_name text, last_name text)"
            )
            owner.execute("INSERT INTO customer VALUES (1, 'Ada', 'Lovelace'), (2, 'Cher', '')")
        settings = waybill.testing.settings(url, tmp_path, catalog="unused.toml")
        export = waybill.testing.run_export(
            settings,
            "customers",
            waybill.Principal("2", scopes={"exports:request", "exports:read", "exports:pii"}),
            catalog=names["catalog"],
            columns=(Column("full_name"),),
        )
    assert export.data == b"full_name\r\nAda Lovelace\r\nCher\r\n"


@pytest.mark.usefixtures("environment")
def test_audit_sink_of_the_guide_is_told() -> None:
    sent: list[dict[str, Any]] = []
    app = FastAPI()
    run(
        "The audit trail, in yours",
        app=app, siem=SimpleNamespace(send=lambda **said: sent.append(said)), Depends=Depends,
        exporter=lambda: waybill.Principal("ann"),
    )  # fmt: skip
    with TestClient(app) as visitor:
        made = visitor.post("/data/api/users/export")
        assert made.status_code == 202, made.text
    assert [(each["who"], each["did"], str(each["what"])) for each in sent] == [
        ("ann", "requested", made.json()["id"])
    ]


@pytest.mark.usefixtures("environment")
async def test_channel_of_the_guide_delivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYBILL_PUBLIC_URL", "https://shop.example/data")
    inbox: list[Any] = []

    async def put(*said: Any, once: str) -> None:
        if inbox:
            raise ConnectionError
        inbox.append((*said, once))

    names = run(
        "Notification channels",
        app=_Either(), inbox=SimpleNamespace(put=put), Depends=Depends,
        exporter=lambda: waybill.Principal("ann"),
    )  # fmt: skip
    channel = names["Inbox"]()
    assert [each.target for each in channel.subscriptions()] == ["people"]
    told = SimpleNamespace(requested_by="ann", payload={"type": "completed"}, event_id="1")
    await channel.deliver(told)
    assert inbox == [("ann", {"type": "completed"}, "1")]
    with pytest.raises(names["DeliveryFailed"]):
        await channel.deliver(told)


class _Either(Celery):
    """The block names the application's Celery and its FastAPI by one name."""

    def __init__(self) -> None:
        super().__init__("shop", set_as_current=False)
        self.api = FastAPI()

    def include_router(self, router: Any, prefix: str) -> None:
        self.api.include_router(router, prefix=prefix)


@pytest.mark.usefixtures("environment")
def test_objects_of_the_guide_lie_in_the_tenant_s_folder(execute: Any) -> None:
    app = FastAPI()
    names = run(
        "Your bucket",
        app=app, celery=Celery("shop", set_as_current=False), session=boto3.session.Session(),
        Depends=Depends, exporter=lambda: waybill.Principal("ann", tenant="acme"),
    )  # fmt: skip
    with TestClient(app) as visitor:
        assert visitor.post("/data/api/users/export").status_code == 202
    ((folder,),) = execute("SELECT object_folder FROM export_jobs")
    assert re.fullmatch(r"acme/\d{4}-\d{2}", folder)
    assert names["objects"].tags["app"] == "shop"


def test_test_of_the_guide_passes(
    local_stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "waybill.toml").write_text(
        '[exports.orders]\ntable = "public.orders"\nkey = "id"\n', encoding="utf-8"
    )
    with temporary_database(local_stack) as url:
        engine = create_engine(url.replace("://", "+psycopg://", 1))
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE orders AS SELECT 1002 AS id")
            connection.exec_driver_sql("ALTER TABLE orders ADD PRIMARY KEY (id)")
        engine.dispose()
        names = run("Your tests")
        names["test_export_of_orders"](url, tmp_path)


@pytest.mark.usefixtures("environment")
def test_flask_goes_on_answering_beside_our_routes() -> None:
    import flask

    shop = flask.Flask("shop")
    shop.secret_key = "secret"

    @shop.post("/sign-in")
    def sign_in() -> str:
        flask.session["user"] = "ann"
        return "welcome"

    @shop.get("/orders")
    def orders() -> str:
        return f"orders of {flask.session.get('user')}"

    names = run("Flask and other WSGI applications", shop=shop, FastAPI=FastAPI, Depends=Depends,
                Request=Request)  # fmt: skip
    with TestClient(names["app"]) as visitor:
        assert visitor.post("/data/api/users/export").status_code == 401
        assert visitor.post("/sign-in").text == "welcome"
        made = visitor.post("/data/api/users/export")
        assert made.status_code == 202, made.text
        job = visitor.get(made.headers["location"]).json()
        assert job["links"]["self"].startswith("http://testserver/data/api/exports/")
        assert visitor.get("/orders").text == "orders of ann"
        assert visitor.get("/nowhere").status_code == 404


def test_autogenerate_of_the_fastapi_shop_proposes_nothing(
    local_stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with temporary_database(local_stack) as dsn:
        # As people's databases are: the tests' own finds our tables without their schema.
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(
                "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public',"
                " current_database()); END$$"
            )
        there = settings_of(local_stack, database_url=dsn)
        migrate(there)
        monkeypatch.setenv("DATABASE_URL", sqlalchemy_url(there))
        monkeypatch.setenv("WAYBILL_DATABASE_URL", dsn)
        monkeypatch.setenv("WAYBILL_CATALOG", str(SHOP / "waybill.toml"))
        monkeypatch.setenv("WAYBILL_DEVELOPMENT_TOKEN", "test-token")
        shop = runpy.run_path(str(SHOP / "shop.py"), run_name="autogenerated_shop")
        shop["Base"].metadata.create_all(shop["engine"])
        with shop["engine"].connect() as connection:
            context = _Context()
            run(
                "Your Alembic",
                context=context, connection=connection, metadata=shop["Base"].metadata,
            )  # fmt: skip
        shop["engine"].dispose()
    assert context.proposed == []


class _Context:
    """``alembic.context`` of an ``env.py``, which compares at once."""

    proposed: Any = None

    def configure(self, *, connection: Any, target_metadata: MetaData, **options: Any) -> None:
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        context = MigrationContext.configure(connection, opts=options)
        self.proposed = compare_metadata(context, target_metadata)
