"""A thousand watchers on one real API process."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest

WATCHERS = 1_000


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for a socket per watcher on this side as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WATCHERS * 2 + 500
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def job(running: Any) -> UUID:
    """A job that no worker takes: it is due in a year."""
    export_id = uuid4()
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO export_jobs (id, export_type, format, requested_by, max_attempts,"
            " next_attempt_at) VALUES (%s, 'users', 'csv', 'local-developer', 3,"
            " now() + interval '1 year')",
            (export_id,),
        )
    return export_id


class SocketWatcher:
    """One watcher on one bare socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str, token: str, export_id: UUID) -> SocketWatcher:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            f"GET /api/exports/{export_id}/events HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {token}\r\nAccept: text/event-stream\r\n"
            # The server would keep the connection for more than a minute, for the next request.
            "Connection: close\r\n\r\n".encode()
        )
        await writer.drain()
        watcher = cls(reader, writer)
        assert b" 200 " in await reader.readline()
        assert (await watcher.next_state())["status"] == "queued"
        return watcher

    async def next_state(self) -> dict[str, Any]:
        while True:
            line = await self._reader.readline()
            if line.startswith(b"data: "):
                state: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                return state
            assert line, "the stream ended without a word"

    async def sees_completion(self) -> dict[str, Any]:
        """Return the state that it ended with."""
        while (state := await self.next_state())["status"] != "completed":
            pass
        # The final event is the last: nothing but the end of the stream follows.
        assert b"data:" not in await self._reader.read()
        return state

    def close(self) -> None:
        self._writer.close()


@pytest.mark.slow
async def test_each_of_a_thousand_watchers_sees_completion_and_the_end(
    running: Any, job: UUID, many_files: None
) -> None:
    watchers: list[SocketWatcher] = []
    # In groups: the listener's backlog is not what is tested.
    for _ in range(WATCHERS // 100):
        watchers += await asyncio.gather(
            *(SocketWatcher.open(running.url, running.token, job) for _ in range(100))
        )
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        api_connections = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waybill-changes'"
        ).fetchone()
        assert api_connections == (1,)
        waiting = [asyncio.create_task(watcher.sees_completion()) for watcher in watchers]
        await asyncio.to_thread(
            connection.execute,
            "UPDATE export_jobs SET status = 'completed', finished_at = now(), rows_done = 10,"
            " object_key = 'none', manifest = '{}', sha256 = '00', object_bytes = 0,"
            " expires_at = now() + interval '1 day' WHERE id = %s",
            (job,),
        )
        async with asyncio.timeout(60):
            seen = await asyncio.gather(*waiting)
        # No object stands behind it: nobody must meet it later in the session.
        connection.execute("DELETE FROM export_jobs WHERE id = %s", (job,))
    for watcher in watchers:
        watcher.close()
    # How soon is a matter of the machine, and not asserted; all of them, and the same, is.
    assert [state["progress"]["rows"] for state in seen] == [10] * WATCHERS
