"""``WAYBILL_HOOKS``: the application's functions in a worker and a scheduler of ours."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from waybill.bootstrap.everything import Services
from waybill.bootstrap.scheduler import SchedulerParts
from waybill.bootstrap.worker import WorkerParts
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.worker.main import run_worker
from waybill.worker.scheduler import run_scheduler

_MODULE = """
import waybill

told = []


async def completed(job):
    told.append((str(job.id), job.status.value, job.rows_done))


def failed(job):
    told.append((str(job.id), job.status.value, None))
    raise RuntimeError("the application's own")


def make():
    return waybill.Hooks(on_completed=completed, on_failed=failed)


nothing = object()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"shop_hooks_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(_MODULE), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


async def test_worker_calls_what_the_setting_names(
    services: Services, settings: Settings, catalog: Catalog, module: str
) -> None:
    good = await services.repository.add(
        export_type="users", format="csv", options={}, requested_by="ann", tenant=None,
        max_attempts=1,
    )  # fmt: skip
    gone = await services.repository.add(
        export_type="no_longer", format="csv", options={}, requested_by="ann", tenant=None,
        max_attempts=1,
    )  # fmt: skip
    named = settings.model_copy(update={"hooks": f"{module}:make"})
    async with WorkerParts(named, catalog=catalog) as worker:
        for job in (good, gone):
            await worker.runner.run(job.id)
    told = __import__(module).told
    assert told == [(str(good.id), "completed", 2_000), (str(gone.id), "failed", None)]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nowhere_at_all:hooks", "there is no module 'nowhere_at_all'"),
        ("{module}:mak", "Did you mean 'make'"),
        ("{module}:nothing", "not a waybill.Hooks"),
        ("{module}.make", "no import string"),
    ],
)
def test_hooks_that_are_none_end_each_role_at_its_start(
    settings: Settings, tmp_path: Path, module: str, named: str, said: str
) -> None:
    catalog = tmp_path / "waybill.toml"
    catalog.write_text('[exports.users]\ntable = "public.users"\nkey = "id"\n', encoding="utf-8")
    wrong = settings.model_copy(
        update={"hooks": named.format(module=module), "catalog": str(catalog)}
    )
    for start in (run_worker, run_scheduler, WorkerParts, SchedulerParts):
        with pytest.raises(ConfigurationError, match=said) as refused:
            start(wrong)
        assert "WAYBILL_HOOKS" in str(refused.value)
