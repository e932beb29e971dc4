"""Each role is built of the few parts it needs, and of no others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import cached_property

import pytest

from waybill.bootstrap.api import ApiParts
from waybill.bootstrap.commands import CommandParts
from waybill.bootstrap.core import CoreParts
from waybill.bootstrap.everything import Services
from waybill.bootstrap.scheduler import DeliveryParts, SchedulerParts
from waybill.bootstrap.worker import WorkerParts
from waybill.catalog import Catalog
from waybill.config import Settings

CORE = {"audit", "channels", "clock", "engine", "outbox", "queue", "repository", "settings"}
PROCESS = CORE | {"catalog", "family", "hooks", "figures", "storage", "storages", "leases", "turns"}
KEEPING = {"admission", "cleanup", "dry_runs", "monitor", "portal_links", "sessions"}
"""What the API does for one person at once, and the scheduler for everybody in time."""
PARTS: dict[type[CoreParts], set[str]] = {
    ApiParts: PROCESS
    | KEEPING
    | {
        "access",
        "administration",
        "announcements",
        "changes",
        "dead_letters",
        "delivery",
        "exports",
        "quotas",
    }
    | {"notification_states", "operations", "row_estimates", "source", "source_use", "streams"},
    WorkerParts: PROCESS | {"adoption", "runner", "source", "source_use"},
    SchedulerParts: PROCESS | KEEPING | {"adoption", "mover", "orphans", "sweeper"},
    DeliveryParts: CORE | {"notifications"},
    CommandParts: CORE | {"dead_letters", "notification_states"},
}


def build(role: type[CoreParts], settings: Settings) -> set[str]:
    """Return the names of all parts that a role can have, after building them."""
    arguments = {"catalog": Catalog([])} if issubclass(role, (ApiParts, WorkerParts)) else {}
    if role is SchedulerParts:
        arguments = {"catalog": Catalog([])}
    parts = role(settings, **arguments)
    for kind in role.__mro__:
        for name, value in vars(kind).items():
            if isinstance(value, cached_property):
                assert getattr(parts, name) is getattr(parts, name)
    return {name for name in vars(parts) if not name.startswith("_")}


@pytest.fixture
def settings() -> Settings:
    """Nothing behind them: nothing connects before it is used."""
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url="postgresql://nobody@127.0.0.1:1/none",
        source_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        s3_bucket="none",
    )


@pytest.mark.parametrize("role", PARTS, ids=lambda role: role.__name__)
def test_role_has_its_parts_and_no_others(role: type[CoreParts], settings: Settings) -> None:
    assert build(role, settings) == PARTS[role]


def test_everything_is_what_the_roles_are(settings: Settings) -> None:
    parts = Services(settings, catalog=Catalog([]))
    names = {name for role in PARTS for name in dir(role) if not name.startswith("_")}
    assert names <= set(dir(parts))
    assert parts.cleanup is parts.cleanup


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("waybill.api.serve", ["waybill.run.runner", "waybill.upkeep.sweeper", "celery.beat"]),
        ("waybill.bootstrap.worker", ["fastapi", "waybill.run.streams", "waybill.upkeep.sweeper"]),
        ("waybill.worker.main", ["fastapi", "alembic", "waybill.bootstrap.scheduler"]),
        ("waybill.bootstrap.scheduler", ["fastapi", "waybill.run.runner", "waybill.run.streams"]),
        ("waybill.bootstrap.commands", ["fastapi", "waybill.catalog.toml", "waybill.storage.s3"]),
    ],
)
def test_role_does_not_even_import_what_others_are_for(module: str, others: list[str]) -> None:
    code = f"import sys, {module}; print(*(set({others!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_parts_are_closed_without_a_thread_where_nothing_is_traced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An application that embeds us may drop its loop before it has us closed: a thread cannot be
    # waited for then.
    monkeypatch.setattr(asyncio, "to_thread", None)
    parts = WorkerParts(settings, catalog=Catalog([]))
    asyncio.run(parts.close())
