"""Objects as an application wants them: where they lie, what they bear, by whose boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import boto3
import httpx
import pytest
from celery import Celery
from fastapi import Depends, FastAPI

import waybill
import waybill.celery
from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType, TableSource
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.jobs.job import ExportStatus, Lease
from waybill.manifest import manifest_key
from waybill.results.object_keys import object_key
from waybill.run.runner import Outcome
from waybill.storage.s3.storage import S3Storage

ANN = waybill.Principal("ann", tenant="acme")
Execute = Callable[..., list[tuple[Any, ...]]]


def folder_of(export: waybill.NewExport) -> str | None:
    return f"{export.tenant}/{export.format}"


@pytest.mark.parametrize("consistency", ["snapshot", "resumable"])
async def test_file_in_a_folder_is_found_by_processes_that_know_its_row_alone(
    settings: Settings, clock: Any, consistency: Any
) -> None:
    users = ExportType(
        "users", TableSource("public", "users"), key=("id",), consistency=consistency
    )
    catalog = Catalog([users])
    app = FastAPI()
    app.include_router(
        waybill.router(
            settings,
            principal=Depends(lambda: ANN),
            catalog=catalog,
            objects=waybill.Objects(object_key=folder_of),
        )
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop.example") as ann,
        # A worker and a scheduler without the function.
        Services(settings, catalog=catalog, clock=clock) as others,
    ):
        made = await ann.post("/api/users/export")
        assert made.status_code == 202, made.text
        job = await others.repository.find(UUID(made.json()["id"]))
        assert job is not None
        assert await others.runner.run(job.id) is Outcome.COMPLETED
        done = await others.repository.find(job.id)
        assert done is not None
        key = done.object_key or ""
        assert key.startswith(f"{settings.s3_prefix}/acme/csv/{job.id}/1-")
        link = await ann.get(f"/api/exports/{job.id}/download")
        assert link.status_code in {302, 303, 307}, link.text
        assert key in link.headers["location"]

        storage = others.storages["s3"]
        lost = object_key(settings.s3_prefix, job.object_folder, Lease(job.id, 1, uuid4()))
        # Of an old worker, which knew of no folders.
        old = object_key(settings.s3_prefix, None, Lease(job.id, 1, uuid4()))
        # Of nobody that we know: not where the job's objects lie.
        foreign = object_key(settings.s3_prefix, "theirs", Lease(job.id, 1, uuid4()))
        for each in (lost, manifest_key(lost), old, foreign):
            storage.put(each, b"x", content_type="text/csv")
        clock.advance(seconds=settings.download_grace_seconds + 60)
        assert await others.orphans.step() == 3
        assert set(storage.list_keys(settings.s3_prefix)) == {key, manifest_key(key), foreign}

        assert await others.repository.mark_deleted(job.id) is not None
        assert await others.cleanup.remove_leftovers() == 1
        assert set(storage.list_keys(settings.s3_prefix)) == {foreign}


async def test_folder_that_is_none_is_refused_in_a_sentence_and_makes_no_job(
    settings: Settings, catalog: Catalog, execute: Execute
) -> None:
    app = FastAPI()
    objects = waybill.Objects(object_key=lambda export: "../others")
    app.include_router(
        waybill.router(settings, principal=Depends(lambda: ANN), catalog=catalog, objects=objects)
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop.example") as ann,
    ):
        refused = await ann.post("/api/users/export")
    assert (refused.status_code, refused.json()["code"]) == (500, "object_folder_refused")
    assert "object_key" in refused.json()["detail"]
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


async def test_repeated_request_is_answered_though_no_folder_can_be_chosen(
    settings: Settings, catalog: Catalog, execute: Execute
) -> None:
    is_away = False

    def folder(export: waybill.NewExport) -> str:
        if is_away:
            raise LookupError("of theirs")
        return "acme"

    app = FastAPI()
    objects = waybill.Objects(object_key=folder)
    app.include_router(
        waybill.router(settings, principal=Depends(lambda: ANN), catalog=catalog, objects=objects)
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop.example") as ann,
    ):
        key = {"Idempotency-Key": "once"}
        first = await ann.post("/api/users/export", headers=key)
        is_away = True
        again = await ann.post("/api/users/export", headers=key)
        equal = await ann.post("/api/users/export")
        other = await ann.post("/api/users/export", json={"format": "json"})
    assert first.status_code == again.status_code == 202
    assert again.json() == first.json()
    assert equal.json()["id"] == first.json()["id"]
    assert (other.status_code, other.json()["code"]) == (500, "object_folder_refused")
    # Of the refused one nothing is left: no job, and nothing that was requested.
    assert execute("SELECT count(*) FROM export_jobs") == [(1,)]
    assert execute("SELECT count(*) FROM audit_events WHERE action = 'requested'") == [(2,)]


async def test_upload_of_a_job_that_nobody_knows_is_left_alone_in_a_folder(
    services: Services, clock: Any
) -> None:
    storage = services.storages["s3"]
    assert isinstance(storage, S3Storage)
    foreign = object_key(services.settings.s3_prefix, "theirs", Lease(uuid4(), 1, uuid4()))
    storage.client.begin_upload(foreign, "text/csv")
    clock.advance(days=3)
    assert await services.orphans.abort_uploads() == 0


async def test_objects_of_a_worker_bear_what_the_application_says(
    settings: Settings, catalog: Catalog
) -> None:
    key_id, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    assert key_id is not None
    assert secret is not None
    session = boto3.session.Session(
        key_id.get_secret_value(), secret.get_secret_value(), region_name=settings.s3_region
    )
    sent: list[dict[str, Any]] = []

    def make_client(service: str, **wanted: Any) -> Any:
        client = session.client(service, **wanted)

        def note(params: dict[str, Any], **_: object) -> None:
            sent.append(params["headers"])

        client.meta.events.register("before-call.s3.PutObject", note)
        return client

    objects = waybill.Objects(
        client=make_client, tags={"tenant": "{tenant}"}, acl="bucket-owner-full-control"
    )
    # Without keys of ours: theirs are the only ones.
    bare = settings.model_copy(update={"s3_access_key_id": None, "s3_secret_access_key": None})
    async with Services(objects.applied_to(bare), catalog=catalog) as services:
        job = await services.repository.add(
            export_type="users", format="csv", options={}, requested_by="ann", tenant="acme",
            max_attempts=1,
        )  # fmt: skip
        await services.runner.run(job.id)
        done = await services.repository.find(job.id)
    assert done is not None
    assert done.status is ExportStatus.COMPLETED
    assert {each["x-amz-acl"] for each in sent} == {"bucket-owner-full-control"}
    assert {each["x-amz-tagging"] for each in sent} == {"tenant=acme"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tags": {"tenant": "{user}"}}, r"\{user\} is not known"),
        ({"tags": {"tenant": 7}}, "s3_tags .* does not hold"),
        ({"acl": "public-read"}, "s3_acl 'public-read' does not hold"),
        ({"encryption": "rot13"}, "s3_encryption 'rot13' does not hold"),
        ({"encryption": "AES256", "kms_key_id": "key"}, "names a KMS key"),
        ({"client": object()}, "gives no client of S3"),
        ({"object_key": "acme"}, "WAYBILL_OBJECT_KEY 'acme'"),
        ({"object_key": lambda: "acme"}, "cannot be called with an export"),
    ],
)
def test_objects_that_cannot_be_are_refused_where_they_are_given(
    settings: Settings, catalog: Catalog, given: dict[str, Any], said: str
) -> None:
    objects = waybill.Objects(**given)
    with pytest.raises(ConfigurationError, match=said):
        waybill.router(settings, principal=lambda: ANN, catalog=catalog, objects=objects)
    app = Celery("theirs", broker="redis://127.0.0.1:1/0", set_as_current=False)
    with pytest.raises(ConfigurationError, match=said):
        waybill.celery.install(app, settings, catalog=catalog, objects=objects)


def test_kms_key_asks_for_its_encryption_and_what_is_not_said_stays(settings: Settings) -> None:
    before = settings.model_copy(update={"s3_tags": {"app": "shop"}, "s3_acl": "private"})
    after = waybill.Objects(kms_key_id="alias/exports").applied_to(before)
    assert (after.s3_encryption, after.s3_kms_key_id) == ("aws:kms", "alias/exports")
    assert (after.s3_tags, after.s3_acl, after.s3_client) == ({"app": "shop"}, "private", None)
    assert waybill.Objects().applied_to(before) == before
