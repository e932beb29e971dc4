"""Downloads of files that lie in a directory: by our own address, under our own rights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from waybill.bootstrap.everything import Services
from waybill.config import Settings

DATA = bytes(range(256)) * 4096


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    root = tmp_path / "storage"
    root.mkdir()
    return settings.model_copy(update={"storage": "directory", "storage_directory": root})


async def test_click_gets_the_bytes_with_ranges_and_no_link(
    api: httpx.AsyncClient, add_job: Any
) -> None:
    path = f"/api/exports/{(await add_job(DATA)).id}/download"
    whole = await api.get(path)
    part = await api.get(path, headers={"Range": "bytes=1000-1999"})
    assert (whole.status_code, whole.content) == (200, DATA)
    assert whole.headers["content-disposition"].startswith('attachment; filename="users.csv"')
    assert whole.headers["cache-control"] == "no-store, no-transform"
    assert (part.status_code, part.content) == (206, DATA[1000:2000])


async def test_directory_that_went_away_is_a_503_and_no_empty_file(
    api: httpx.AsyncClient, add_job: Any, settings: Settings
) -> None:
    path = f"/api/exports/{(await add_job(DATA)).id}/download"
    assert settings.storage_directory is not None
    shutil.rmtree(settings.storage_directory / "objects")
    response = await api.get(path)
    assert response.status_code == 503
    assert response.json()["code"] == "result_unavailable"


async def test_file_in_a_storage_that_is_not_configured_is_a_503_and_keeps_its_row(
    api: httpx.AsyncClient, add_job: Any, services: Services, execute: Any
) -> None:
    job = await add_job(DATA)
    execute("UPDATE export_jobs SET storage = 's3'")
    response = await api.get(f"/api/exports/{job.id}/download")
    assert response.status_code == 503
    moved = await services.repository.find(job.id)
    assert moved is not None
    assert not await services.cleanup.remove_object(moved)
    kept = await services.repository.find(job.id)
    assert kept is not None
    assert kept.object_key == job.object_key


async def test_readiness_names_the_directory_that_went_away(
    api: httpx.AsyncClient, settings: Settings
) -> None:
    assert (await api.get("/readyz")).json()["checks"]["storage"] == "ok"
    assert settings.storage_directory is not None
    shutil.rmtree(settings.storage_directory)
    assert (await api.get("/readyz")).json()["checks"]["storage"] == "storage_rejected"
