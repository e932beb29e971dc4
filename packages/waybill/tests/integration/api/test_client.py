"""Both clients against the real service: the same story, told synchronously and awaited."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from waybill.client import (
    AsyncExportClient,
    DownloadBroken,
    ExportClient,
    ExportEnded,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    ServerUnreachable,
    StorageRefused,
    admin,
    calls,
)
from waybill.client.calls import Call
from waybill.config import Settings
from waybill.manifest import Manifest
from waybill.results.verify import verify_file

DATA = bytes(range(256)) * 8192
"""2 MiB, so that there are several chunks."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"quota_per_day": 5})


class Awaited:
    """The synchronous client as the asynchronous one is called: each method in a thread."""

    def __init__(self, client: ExportClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name in {"watch", "list", "stream"}:
            return lambda *args, **options: self._iterated(method, *args, **options)
        return lambda *args, **options: asyncio.to_thread(method, *args, **options)

    @staticmethod
    async def _iterated(method: Any, *args: Any, **options: Any) -> Any:
        for each in await asyncio.to_thread(lambda: list(method(*args, **options))):
            yield each


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, server: httpx.AsyncClient) -> Any:
    url = str(server.base_url)
    if request.param == "async":
        async with AsyncExportClient(url, lambda: "test-token") as client:
            yield client
    else:
        with ExportClient(url, "test-token") as client:
            yield Awaited(client)


@pytest.mark.usefixtures("worker")
async def test_export_is_requested_watched_and_downloaded(client: Any, tmp_path: Path) -> None:
    job = await client.request(
        "users", columns=["id", ("email", "E-mail")], options={"delimiter": ";"}
    )
    states = [state.status.value async for state in client.watch(job.id)]
    assert states[-1] == "completed"
    seen: list[tuple[int, int]] = []
    target = await client.download(
        job.id, tmp_path / "users.csv", on_bytes=lambda *figures: seen.append(figures)
    )
    assert target.read_bytes().startswith(b"id;E-mail\r\n")
    manifest = Manifest.load(await client.manifest(job.id))
    assert verify_file(target, manifest).is_whole
    assert seen[-1] == (manifest.bytes, manifest.bytes)
    assert [each.id async for each in client.list()] == [job.id]
    assert (await client.discard(job.id)).status == "deleted"
    with pytest.raises(ExportEnded):
        await client.wait(job.id)


@pytest.mark.usefixtures("worker")
async def test_polling_ends_the_same(client: Any) -> None:
    job = await client.request("users", format="ndjson")
    assert (await client.wait(job.id, live=False)).progress.rows == 2_000


async def test_small_export_is_streamed(client: Any) -> None:
    pieces = [
        piece
        async for piece in client.stream(
            "users",
            format="ndjson",
            columns=["id", ("email", "E-mail")],
        )
    ]
    rows = [json.loads(line) for line in b"".join(pieces).splitlines()]
    assert len(rows) == 2_000
    assert all(list(row) == ["id", "E-mail"] for row in rows)
    (job,) = [each async for each in client.list()]
    assert job.bytes == sum(map(len, pieces))
    assert job.sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()


async def test_refused_stream_is_refused_before_its_first_byte(client: Any) -> None:
    with pytest.raises(InvalidRequest):
        _ = [piece async for piece in client.stream("users", format="docx")]
    with pytest.raises(TypeError, match="no option 'compression'"):
        _ = [piece async for piece in client.stream("users", compression="zstd")]


@pytest.mark.parametrize(("share", "via"), [(0.4, "redirect"), (0.4, "stream"), (1.0, "stream")])
async def test_download_goes_on_with_what_is_there(
    client: Any, add_job: Any, tmp_path: Path, via: str, share: float
) -> None:
    job = await add_job(DATA)
    part = tmp_path / f"file.{job.id}.part"
    part.write_bytes(DATA[: int(len(DATA) * share)])
    fetched: list[int] = []
    target = await client.download(
        job.id, tmp_path / "file", via=via, on_bytes=lambda done, _: fetched.append(done)
    )
    assert target.read_bytes() == DATA
    assert not part.exists()
    assert all(done > len(DATA) * share for done in fetched)


@pytest.mark.parametrize("wrong", [b"x" * 1000, DATA + b"x"])
async def test_wrong_bytes_never_become_the_file(
    client: Any, add_job: Any, tmp_path: Path, wrong: bytes
) -> None:
    job = await add_job(DATA)
    part = tmp_path / f"file.{job.id}.part"
    part.write_bytes(wrong)
    if len(wrong) < len(DATA):
        with pytest.raises(DownloadBroken, match="SHA-256"):
            await client.download(job.id, tmp_path / "file")
        assert not part.exists()
    # More than the file has cannot be a beginning of it: thrown away at once.
    assert (await client.download(job.id, tmp_path / "file")).read_bytes() == DATA


async def test_catalog_tells_what_there_is(client: Any) -> None:
    offer = await client.catalog()
    assert [each.name for each in offer.types] == ["users"]
    assert {"csv", "ndjson"} <= set(offer.formats)


async def test_preview_makes_nothing(client: Any, execute: Callable[..., Any]) -> None:
    preview = await client.preview("users", columns=["id"])
    assert (preview.rows, preview.columns[0].name) == (2_000, "id")
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


async def test_refusals_are_errors_with_what_helps(client: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await client.request("users", format="docx")
    assert "csv" in refused.value.known
    with pytest.raises(NotFound):
        await client.get(uuid4())
    with pytest.raises(NotFound):
        await client.get("../audit")
    for number in range(5):
        await client.request("users", columns=["id", ("email", f"E{number}")])
    with pytest.raises(QuotaExceeded) as used_up:
        await client.request("users")
    assert 0 < (used_up.value.retry_after_seconds or 0) <= 86_400


async def test_operations_of_administrators_are_sent_like_any_other(client: Any) -> None:
    job = await client.request("users")
    assert (await client.send(admin.list_exports(status="queued"))).items[0].id == job.id
    assert (await client.send(admin.cancel_export(job.id))).status == "cancelled"
    actions = [event.action for event in (await client.send(admin.list_audit())).items]
    assert {"requested", "cancelled"} <= set(actions)


async def test_nobody_there_is_said_with_the_address() -> None:
    async with AsyncExportClient("http://127.0.0.1:9", "token") as client:
        with pytest.raises(ServerUnreachable, match=r"http://127\.0\.0\.1:9"):
            await client.get(uuid4())


async def test_storage_out_of_reach_is_gone_round_through_the_service(
    server: httpx.AsyncClient, add_job: Any, tmp_path: Path, app: Any, monkeypatch: Any
) -> None:
    job = await add_job(DATA)
    monkeypatch.setattr(
        app.state.services.storages["s3"], "presign", lambda *_, **__: "http://127.0.0.1:9/secret"
    )
    async with AsyncExportClient(str(server.base_url), "test-token") as client:
        assert (await client.download(job.id, tmp_path / "file")).read_bytes() == DATA


@pytest.mark.parametrize("refusal", ["clock", "policy"])
async def test_link_that_storage_refuses_is_gone_round_through_the_service(
    server: httpx.AsyncClient, add_job: Any, tmp_path: Path, app: Any, monkeypatch: Any,
    refusal: str,
) -> None:  # fmt: skip
    job = await add_job(DATA)
    storage = app.state.services.storages["s3"]
    presign = storage.presign

    def refused(*key: str, **options: Any) -> str:
        if refusal == "policy":  # one that looks at the query, which the signature no longer is of
            return f"{presign(*key, **options)}&x-id=Other"
        offset, storage.client.clock.offset = storage.client.clock.offset, timedelta(hours=-1)
        try:
            return str(presign(*key, **options))
        finally:
            storage.client.clock.offset = offset

    monkeypatch.setattr(storage, "presign", refused)
    async with AsyncExportClient(str(server.base_url), "test-token") as client:
        (tmp_path / f"file.{job.id}.part").write_bytes(DATA[:1_000_000])
        assert (await client.download(job.id, tmp_path / "file")).read_bytes() == DATA
        with pytest.raises(StorageRefused, match="status 403") as asked_for:
            await client.download(job.id, tmp_path / "again", via="redirect")
    assert "X-Amz" not in str(asked_for.value)


async def test_every_operation_of_the_document_has_a_call(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    some = uuid4()
    known: list[Call[Any]] = [
        calls.request_export("users"),
        calls.list_exports(),
        calls.get_catalog(),
        calls.get_quota(),
        calls.get_export(some),
        calls.discard_export(some),
        calls.get_manifest(some),
        calls.watch_export(some),
        calls.download_export(some),
        admin.list_exports(),
        admin.get_queue(),
        admin.cancel_export(some),
        admin.revoke_export(some),
        admin.list_dead_letters(),
        admin.get_dead_letter(some),
        admin.replay_dead_letter(some),
        admin.replay_dead_letters(cause="transient"),
        admin.list_notifications(),
        admin.replay_notifications(target="crm"),
        admin.list_audit(),
    ]
    documented = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if path.startswith("/api/") and method != "head"
    }
    called = {
        (method, path)
        for method, path in documented
        for call in known
        if call.method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), call.path)
    }
    # The streaming answer is for programs that want no job; httpx alone is the client for it.
    assert {each for each in documented if not each[1].endswith("/export/stream")} == called
