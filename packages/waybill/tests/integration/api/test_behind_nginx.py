"""Behind Debian's nginx as people have it: TLS and HTTP/2 in front, a path prefix, buffering, and
settings that take ``Content-Length`` or ``Range`` away."""

from __future__ import annotations

import asyncio
import html
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from waybill.api.serve import server_config
from waybill.bootstrap.everything import Services
from waybill.client import AsyncExportClient
from waybill.config import Settings
from waybill.local.certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE, ensure_certificate
from waybill.local.ports import LOOPBACK, draw_free_port

DATA = bytes(range(256)) * 8192
"""2 MiB, so that there are several chunks."""

NGINX_KEEPS_SECONDS, WE_KEEP_SECONDS = 0.4, 3
"""In the proportion of 60 s, which is nginx's default, to our 75 s, and further apart, so that a
busy machine does not turn it around."""

# ``/old/`` is what a location is without another word: HTTP/1.0 to what stands behind it, buffered.
_CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr error;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  default_type application/octet-stream;
  upstream kept {{
    server {upstream};
    keepalive 64;
    keepalive_timeout {kept_ms}ms;
  }}
  server {{
    listen {host}:{port} ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Prefix $waybill_prefix;
    set $waybill_prefix /data;
    proxy_buffering on;
    gzip on;
    gzip_types *;
    gzip_proxied any;
    gzip_min_length 1;
    location /old/ {{
      set $waybill_prefix /old;
      proxy_pass http://{upstream}/;
    }}
    location /kept/ {{  # connections to us are used again
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_pass http://kept/;
    }}
    location /data/ {{
      proxy_http_version 1.1;
      proxy_pass http://{upstream}/;
    }}
    location /unmeasured/ {{  # an edited answer has no length any more, nor an ETag
      proxy_http_version 1.1;
      proxy_pass http://{upstream}/;
      sub_filter_types *;
      sub_filter "no such words" "";
    }}
    location /whole/ {{  # as a proxy that caches asks
      proxy_http_version 1.1;
      proxy_pass http://{upstream}/;
      proxy_set_header Host $http_host;
      proxy_set_header Range "";
      proxy_set_header If-Range "";
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """One in front of the test's server."""

    url: str
    authority: Path

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url,
            verify=ssl.create_default_context(cafile=self.authority),
            headers={"Authorization": "Bearer test-token"},
            timeout=20,
        )


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="nginx-"))
    ensure_certificate(directory)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def trusted() -> tuple[str, ...]:
    """The proxies that are named in the settings."""
    return (LOOPBACK,)


@pytest.fixture
def settings(settings: Settings, trusted: tuple[str, ...]) -> Settings:
    return settings.model_copy(
        update={
            "docs": True,
            "trusted_proxies": trusted,
            "keep_alive_seconds": WE_KEEP_SECONDS,
        }
    )


@pytest.fixture
async def server(app: Any, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The application as ``waybill api`` serves it, and a client of it."""
    listener = socket.create_server((LOOPBACK, 0))
    server = uvicorn.Server(server_config(app, settings, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async with httpx.AsyncClient(
        base_url=f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    ) as client:
        yield client
    app.state.services.changes.release()
    server.should_exit = True
    await serving


@pytest.fixture
async def nginx(
    server: httpx.AsyncClient, certificates: Path, find_program: Callable[[str, str], str]
) -> AsyncIterator[Nginx]:
    port = draw_free_port()
    directory = Path(tempfile.mkdtemp(dir=certificates))
    path = directory / "nginx.conf"
    path.write_text(
        _CONFIGURATION.format(
            directory=directory,
            host=LOOPBACK,
            port=port,
            upstream=server.base_url.netloc.decode(),
            certificate=certificates / CERTIFICATE_FILE,
            key=certificates / KEY_FILE,
            kept_ms=round(NGINX_KEEPS_SECONDS * 1000),
        )
    )
    log = directory / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            [find_program("nginx", "nginx"), "-c", str(path)], stderr=errors
        )
    nginx = Nginx(f"https://{LOOPBACK}:{port}", certificates / CA_FILE)
    try:
        deadline = time.monotonic() + 30
        async with nginx.client() as client:
            while True:
                try:
                    assert (await client.get("/data/healthz")).status_code == 200
                    break
                except httpx.ConnectError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    await asyncio.sleep(0.02)
        yield nginx
    finally:
        process.terminate()
        process.wait(30)


async def test_prefix_of_a_proxy_leads_to_the_api_and_to_its_documentation(nginx: Nginx) -> None:
    async with nginx.client() as client:
        page = await client.get("/data/docs")
        assert page.status_code == 200
        named = re.findall(r'(?:src|href|data-document)="([^"]+)"', page.text)
        assert len(named) == 4
        for address in map(html.unescape, named):
            assert address.startswith("/data/"), address
            assert (await client.get(address)).status_code == 200, address
        document = (await client.get("/data/openapi.json")).json()
        assert document["servers"] == [{"url": "/data"}]
        # A body without its length, as behind a proxy that passes it on while it comes.
        made = await client.post(
            "/data/api/users/export", content=_pieces(b"{", b"}"),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        assert made.status_code == 202, made.text
        link = made.headers["location"]
        assert link.startswith(f"{nginx.url}/data/api/exports/")
        assert (await client.get(link)).json()["links"]["self"] == link


@pytest.mark.parametrize("trusted", [()])
async def test_proxy_that_nobody_named_is_not_believed(nginx: Nginx) -> None:
    async with nginx.client() as client:
        made = await client.post("/data/api/users/export")
        assert made.headers["location"].startswith("http://")
        assert "/data/" not in made.headers["location"]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the connections that are made to ``waybill api`` and those that it ends as idle."""
    counts = {"made": 0, "ended by us": 0}
    made, ended = H11Protocol.connection_made, H11Protocol.timeout_keep_alive_handler

    def count_made(self: H11Protocol, transport: Any) -> None:
        counts["made"] += 1
        made(self, transport)

    def count_ended(self: H11Protocol) -> None:
        counts["ended by us"] += not self.transport.is_closing()
        ended(self)

    monkeypatch.setattr(H11Protocol, "connection_made", count_made)
    monkeypatch.setattr(H11Protocol, "timeout_keep_alive_handler", count_ended)
    return counts


async def test_idle_connections_of_a_proxy_are_ended_by_the_proxy_and_no_post_is_lost(
    kept: dict[str, int], nginx: Nginx
) -> None:
    """nginx sends no POST twice: one that meets the end of an idle connection is a 502."""
    assert Settings.model_fields["keep_alive_seconds"].default > 60  # nginx's own
    at_once, pauses = 40, (0, 0.3, 0.38, 0.4, 0.42, WE_KEEP_SECONDS, 0, 0)
    async with nginx.client() as client:
        for pause in pauses:
            await asyncio.sleep(pause)  # around the time that nginx keeps them, and ours
            posts = (
                client.post("/kept/api/users/export", json={"format": "none"})
                for _ in range(at_once)
            )
            answers = await asyncio.gather(*posts)
            assert {answer.status_code for answer in answers} == {422}
    assert kept["ended by us"] == 0
    assert kept["made"] < at_once * len(pauses)  # some were used again


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for each in pieces:
        yield each


@pytest.mark.parametrize("place", ["data", "old"])
async def test_events_come_at_once_over_http_2_through_a_proxy_that_buffers(
    nginx: Nginx, services: Services, add_job: Any, place: str
) -> None:
    job = await add_job()
    curl = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--no-buffer", "--include", "--http2", "--compressed",
        "--cacert", str(nginx.authority), "--header", "Authorization: Bearer test-token",
        f"{nginx.url}/{place}/api/exports/{job.id}/events",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert curl.stdout is not None
    try:
        async with asyncio.timeout(20):  # a stream lives fifteen minutes
            assert (await curl.stdout.readline()).startswith(b"HTTP/2 200")
            async for line in curl.stdout:
                if line.startswith(b"data:"):
                    break
            assert b'"status":"queued"' in line
            await services.repository.cancel(job.id)
            rest = await curl.stdout.read()
        assert b"event: finished" in rest
        assert await curl.wait() == 0
    finally:
        if curl.returncode is None:
            curl.kill()
            await curl.wait()


@pytest.mark.parametrize("place", ["data", "old", "unmeasured", "whole"])
async def test_broken_download_goes_on_whatever_a_proxy_takes_away(
    nginx: Nginx, add_job: Any, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(nginx.authority))
    job = await add_job(DATA)
    (tmp_path / f"file.{job.id}.part").write_bytes(DATA[: len(DATA) // 3])
    async with AsyncExportClient(f"{nginx.url}/{place}", "test-token") as client:
        target = await client.download(job.id, tmp_path / "file", via="stream")
    assert target.read_bytes() == DATA
    # And with the program that everybody has, from the beginning and from the middle.
    partial = tmp_path / "curl"
    partial.write_bytes(DATA[:1_000_000])
    arguments = (
        "--silent", "--show-error", "--fail", "--cacert", str(nginx.authority), "--header",
        "Authorization: Bearer test-token", "--continue-at", "-", "--output", str(partial),
        f"{nginx.url}/{place}/api/exports/{job.id}/download?via=stream",
    )  # fmt: skip
    done = await asyncio.create_subprocess_exec("curl", *arguments, stderr=asyncio.subprocess.PIPE)
    said = (await done.communicate())[1].decode()
    if place == "whole":
        assert "byte ranges" in said  # and nothing is put behind what was there
        assert partial.read_bytes() == DATA[:1_000_000]
    else:
        assert done.returncode == 0, said
        assert partial.read_bytes() == DATA
