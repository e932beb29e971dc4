"""Downloads on real storage: links, streams, ranges, limits, and what is recorded of them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.errors import DownloadLimitReached, ExportGone
from waybill.principal import READ, Principal

Execute = Callable[..., list[tuple[Any, ...]]]

DATA = bytes(range(256)) * 4096
ETAG = f'"{hashlib.sha256(DATA).hexdigest()}"'


@pytest.fixture
async def path(add_job: Any) -> str:
    """The download of a file of 1 MiB."""
    return f"/api/exports/{(await add_job(DATA)).id}/download"


def trail(execute: Execute) -> list[tuple[Any, ...]]:
    return execute(
        "SELECT actor, action, outcome, code FROM audit_events"
        " WHERE action = 'downloaded' ORDER BY id"
    )


async def test_click_is_answered_with_a_link_that_lives_a_minute(
    api: httpx.AsyncClient, path: str, execute: Execute
) -> None:
    response = await api.get(path)
    assert response.status_code == 307
    assert response.headers["cache-control"] == "no-store"
    link = response.headers["location"]
    assert 0 < int(parse_qs(urlsplit(link).query)["X-Amz-Expires"][0]) <= 60
    async with httpx.AsyncClient() as stranger:
        found = await stranger.get(link)
    assert found.content == DATA
    assert found.headers["content-disposition"].startswith('attachment; filename="users.csv"')
    assert found.headers["cache-control"] == "no-store"
    assert trail(execute) == [("local-developer", "downloaded", "allowed", "redirect")]


async def test_stream_gives_the_bytes_with_all_that_resuming_needs(
    api: httpx.AsyncClient, path: str, execute: Execute
) -> None:
    response = await api.get(path, params={"via": "stream"})
    assert response.status_code == 200
    assert response.content == DATA
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["etag"] == ETAG
    assert response.headers["cache-control"] == "no-store, no-transform"
    assert response.headers["content-length"] == str(len(DATA))
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    assert response.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert trail(execute) == [("local-developer", "downloaded", "allowed", "stream")]


async def test_range_gives_that_part(api: httpx.AsyncClient, path: str) -> None:
    response = await api.get(
        path, params={"via": "stream"}, headers={"Range": "bytes=1000-1999", "If-Range": ETAG}
    )
    assert response.status_code == 206
    assert response.content == DATA[1000:2000]
    assert response.headers["content-range"] == f"bytes 1000-1999/{len(DATA)}"


async def test_range_of_another_version_gives_the_whole(api: httpx.AsyncClient, path: str) -> None:
    response = await api.get(
        path, params={"via": "stream"}, headers={"Range": "bytes=1000-", "If-Range": '"old"'}
    )
    assert response.status_code == 200
    assert response.content == DATA


async def test_range_outside_is_refused_with_the_length(api: httpx.AsyncClient, path: str) -> None:
    response = await api.get(
        path, params={"via": "stream"}, headers={"Range": f"bytes={len(DATA)}-"}
    )
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(DATA)}"
    assert response.json()["code"] == "range_not_satisfiable"


async def test_head_tells_length_and_name_and_counts_as_no_download(
    api: httpx.AsyncClient, path: str, execute: Execute
) -> None:
    response = await api.head(path)
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["content-length"] == str(len(DATA))
    assert response.headers["etag"] == ETAG
    assert trail(execute) == []


async def test_file_that_is_there_already_is_not_sent_again(
    api: httpx.AsyncClient, path: str, execute: Execute
) -> None:
    response = await api.get(path, headers={"If-None-Match": ETAG})
    assert response.status_code == 304
    assert response.content == b""
    assert trail(execute) == []
    response = await api.get(path, headers={"If-Match": '"old"'})
    assert response.status_code == 412


async def test_empty_file_is_downloaded_as_such(api: httpx.AsyncClient, add_job: Any) -> None:
    job = await add_job(b"")
    response = await api.get(f"/api/exports/{job.id}/download", params={"via": "stream"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "0"


@pytest.mark.parametrize(
    "file_name",
    [
        'a"b.csv',
        "a\r\nSet-Cookie: stolen=1.csv",
        "../../etc/passwd",
        "Größe 東京.csv",
        "x" * 5000 + ".csv",
    ],
)
@pytest.mark.parametrize("via", ["stream", "redirect"])
async def test_file_name_cannot_break_the_header(
    server: httpx.AsyncClient,
    services: Services,
    add_job: Any,
    file_name: str,
    via: str,
    execute: Execute,
) -> None:
    job = await add_job(b"x")
    execute(
        "UPDATE export_jobs SET manifest = jsonb_set(manifest, '{file_name}', to_jsonb(%s::text))",
        file_name,
    )
    response = await server.get(
        f"/api/exports/{job.id}/download", params={"via": via}, follow_redirects=True
    )
    assert response.status_code == 200
    assert response.content == b"x"
    assert "set-cookie" not in response.headers
    named = response.headers["content-disposition"]
    assert named.startswith("attachment; filename=")
    assert not {"/", "\\", "\r", "\n"} & set(named.replace("UTF-8''", ""))
    assert len(named) < 2000


async def test_downloads_beyond_the_limit_are_refused_and_recorded(
    settings: Settings, catalog: Any, clock: Any, add_job: Any, execute: Execute
) -> None:
    job = await add_job(DATA)
    limited = settings.model_copy(update={"max_downloads": 2})
    async with Services(limited, catalog=catalog, clock=clock) as services:

        async def begin(subject: str) -> str:
            try:
                await services.delivery.begin_download(Principal(subject), job, how="stream")
            except Exception as exc:
                return str(getattr(exc, "code", exc))
            return "ok"

        # Many people at once: exactly two get it, each as often as resuming takes.
        answers = await asyncio.gather(*(begin(f"person-{n}") for n in range(10)))
        assert sorted(answers) == ["download_limit_reached"] * 8 + ["ok"] * 2
        winner = f"person-{answers.index('ok')}"
        assert await begin(winner) == "ok"
        requests = execute("SELECT requests FROM export_downloads WHERE subject = %s", winner)
        assert requests == [(2,)]
        execute("UPDATE export_downloads SET opened_at = opened_at - interval '2 hours'")
        assert await begin(winner) == "download_limit_reached"
    assert len(trail(execute)) == 3


async def test_limit_is_a_files_own_and_its_window_a_persons(
    settings: Settings, catalog: Any, clock: Any, add_job: Any, execute: Execute
) -> None:
    first, second = await add_job(DATA), await add_job(DATA)
    limited = settings.model_copy(update={"max_downloads": 1})
    ann, namesake = Principal("ann", "acme"), Principal("ann", "globex")
    async with Services(limited, catalog=catalog, clock=clock) as services:
        for job in (first, second, first):
            await services.delivery.begin_download(ann, job, how="stream")
        with pytest.raises(DownloadLimitReached):
            await services.delivery.begin_download(namesake, first, how="stream")
    assert execute("SELECT export_id, tenant, requests FROM export_downloads ORDER BY id") == [
        (first.id, "acme", 2),
        (second.id, "acme", 1),
    ]


async def test_download_of_what_went_out_of_reach_meanwhile_says_how(
    services: Services, add_job: Any, execute: Execute
) -> None:
    job = await add_job(DATA)
    for change, status in (
        ("UPDATE export_jobs SET status = 'expired'", "expired"),
        ("DELETE FROM export_jobs", "deleted"),
    ):
        execute(change)
        with pytest.raises(ExportGone) as gone:
            await services.delivery.begin_download(Principal("ann"), job, how="stream")
        assert gone.value.status == status
    assert trail(execute) == []


async def test_manifest_is_that_of_the_file(api: httpx.AsyncClient, add_job: Any) -> None:
    wanted, other = await add_job(b"wanted"), await add_job(b"another")
    for job, data in ((wanted, b"wanted"), (other, b"another")):
        manifest = (await api.get(f"/api/exports/{job.id}/manifest")).json()
        assert manifest["sha256"] == hashlib.sha256(data).hexdigest()


async def test_download_of_another_person_is_like_one_of_nothing_and_recorded(
    api: httpx.AsyncClient, act_as: Any, path: str, execute: Execute
) -> None:
    """Fault 25."""
    act_as(Principal("mallory", scopes=frozenset({READ})))
    theirs = await api.get(path)
    nobodys = await api.get(f"/api/exports/{uuid4()}/download")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content
    assert {k: v for k, v in theirs.headers.items() if k != "date"} == {
        k: v for k, v in nobodys.headers.items() if k != "date"
    }
    assert trail(execute) == [("mallory", "downloaded", "refused", "export_not_found")] * 2


async def test_file_past_its_time_is_gone_before_the_sweeper_comes(
    api: httpx.AsyncClient, path: str, clock: Any
) -> None:
    clock.advance(days=8)
    response = await api.get(path)
    assert response.status_code == 410
    assert response.json()["code"] == "export_gone"


async def test_deleted_file_gives_no_new_links_and_old_ones_die(
    api: httpx.AsyncClient, path: str
) -> None:
    """Fault 28: issued links die with the object."""
    link = (await api.get(path)).headers["location"]
    assert (await api.delete(path.removesuffix("/download"))).json()["status"] == "deleted"
    assert (await api.get(path)).status_code == 410
    assert (await api.head(path)).status_code == 410
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(link)).status_code == 404


@pytest.mark.parametrize("via", ["stream", "redirect"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_object_that_vanished_is_gone_and_never_an_empty_file(
    api: httpx.AsyncClient, services: Services, add_job: Any, via: str, method: str
) -> None:
    job = await add_job(DATA)
    await asyncio.to_thread(services.storages["s3"].delete, job.object_key)
    path = f"/api/exports/{job.id}/download"
    response = await api.request(method, path, params={"via": via})
    assert response.status_code == 410
    shown = (await api.get(f"/api/exports/{job.id}")).json()
    assert shown["status"] == "deleted"


async def test_file_that_ends_early_breaks_the_connection(
    server: httpx.AsyncClient, services: Services, add_job: Any, execute: Execute
) -> None:
    job = await add_job(DATA)
    # Storage has less than was committed: what arrives must not look whole.
    await asyncio.to_thread(
        services.storages["s3"].put, job.object_key, DATA[:-1], content_type="text/csv"
    )
    with pytest.raises(httpx.RemoteProtocolError):
        await server.get(f"/api/exports/{job.id}/download", params={"via": "stream"})


async def test_download_that_is_given_up_frees_its_reader(
    server: httpx.AsyncClient, services: Services, add_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await add_job(DATA * 32)
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    storage = services.storages["s3"]
    read = storage.read

    def watched(*args: Any, **options: Any) -> Any:
        try:
            yield from read(*args, **options)
        finally:
            loop.call_soon_threadsafe(closed.set)

    monkeypatch.setattr(storage, "read", watched)
    async with server.stream(
        "GET", f"/api/exports/{job.id}/download", params={"via": "stream"}
    ) as response:
        async for _ in response.aiter_raw():
            break
        assert not closed.is_set()
    async with asyncio.timeout(10):
        await closed.wait()
