"""A client that keeps its connections, as proxies do, meets none that is about to be ended."""

from __future__ import annotations

from typing import Any

import httpx


async def test_no_request_is_sent_over_a_connection_that_a_defect_ends(
    app: Any, server: httpx.AsyncClient
) -> None:
    async def defect() -> None:
        raise LookupError("not foreseen")

    app.add_api_route("/api/defect", defect, methods=["POST"])
    for _ in range(20):
        answer = await server.post("/api/defect")
        assert (answer.status_code, answer.headers["connection"]) == (500, "close")
        assert answer.json()["code"] == "internal_error"
        assert (await server.get("/healthz")).status_code == 200
