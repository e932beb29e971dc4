"""How the client learns of an export's end: told, or else by asking."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest

from waybill.api.schemas import ExportDocument
from waybill.client import ExportClient, ServerRefused
from waybill.jobs.job import ExportJob, ExportStatus

JOB_ID = UUID(int=7)

Answer = tuple[int, str, bytes]
Script = dict[str, list[Answer]]


def document(status: ExportStatus) -> bytes:
    job = ExportJob(
        **dict.fromkeys(ExportJob.__dataclass_fields__)
        | {
            "id": JOB_ID,
            "export_type": "users",
            "format": "csv",
            "options": {},
            "requested_by": "me",
            "status": status,
            "rows_done": 0,
            "bytes_done": 0,
            "rows_expected_exact": False,
            "attempt": 1,
            "max_attempts": 3,
            "created_at": datetime(2026, 5, 1, tzinfo=UTC),
        }
    )
    text = ExportDocument.of(job, now=job.created_at, base="http://x/api").model_dump_json()
    return text.encode()


def events(*states: ExportStatus) -> Answer:
    lines = [b"id: 1\nevent: progress\ndata: " + document(state) + b"\n\n" for state in states]
    return 200, "text/event-stream; charset=utf-8", b"retry: 10\n\n: hello\n\n" + b"".join(lines)


def state(status: ExportStatus) -> Answer:
    return 200, "application/json", document(status)


REFUSED: Answer = (503, "application/problem+json", b'{"code": "too_many_watchers"}')
MISSING: Answer = (404, "application/problem+json", b'{"code": "export_not_found", "detail": "x"}')


@pytest.fixture
def watch() -> Iterator[Callable[[Script], tuple[list[ExportStatus], list[str]]]]:
    """Watch a job on a server that gives the scripted answers; the last of each again and again."""
    servers: list[ThreadingHTTPServer] = []

    def run(script: Script) -> tuple[list[ExportStatus], list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind = "events" if self.path.endswith("/events") else "get"
                asked.append(kind)
                answers = script[kind]
                status, media_type, body = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with ExportClient(f"http://127.0.0.1:{server.server_port}", "token") as client:
            return [job.status for job in client.watch(JOB_ID)], asked

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


QUEUED, RUNNING, COMPLETED = ExportStatus.QUEUED, ExportStatus.RUNNING, ExportStatus.COMPLETED


def test_end_is_told_without_asking(watch: Any) -> None:
    seen, asked = watch({"events": [events(QUEUED, RUNNING, COMPLETED)]})

    assert seen == [QUEUED, RUNNING, COMPLETED]
    assert asked == ["events"]


def test_stream_that_broke_off_is_taken_up_again(watch: Any) -> None:
    script = {"events": [events(QUEUED), events(RUNNING, COMPLETED)]}

    seen, asked = watch(script)

    assert seen == [QUEUED, RUNNING, COMPLETED]
    assert asked == ["events", "events"]


def test_service_that_does_not_tell_is_asked(watch: Any) -> None:
    script = {"events": [REFUSED], "get": [state(QUEUED), state(RUNNING), state(COMPLETED)]}

    seen, asked = watch(script)

    assert seen == [QUEUED, RUNNING, COMPLETED]
    assert asked == ["events", "get", "get", "get"]


def test_job_that_is_not_there_is_an_error(watch: Any) -> None:
    with pytest.raises(ServerRefused, match="x"):
        watch({"events": [MISSING]})
