"""A Django project under an ASGI server, in one process with a FastAPI that has exports of its own:
pages, action and download work as everywhere, and nothing of the one is the other's."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import Depends, FastAPI

import waybill
from waybill.catalog import Catalog
from waybill.config import Settings

from .conftest import WITH_MORE_MIDDLEWARE, Project, Sign

# isort: split
from django.core.handlers.asgi import ASGIHandler
from django.test import override_settings
from shop.models import Order

from waybill.django.host import forget_host

CHANGELIST = "/admin/shop/order/"


def guest() -> waybill.Principal:
    return waybill.Principal("ann", tenant="1")


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an application by uvicorn; give its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
    assert not thread.is_alive()


def test_admin_exports_under_asgi_beside_a_fastapi_with_exports_of_its_own(
    shop_project: Project, project_settings: dict[str, Any], sign_in: Sign,
    settings: Settings, catalog: Catalog,
) -> None:  # fmt: skip
    app = FastAPI()
    app.include_router(
        waybill.router(settings, principal=Depends(guest), catalog=catalog), prefix="/data"
    )
    with override_settings(MIDDLEWARE=WITH_MORE_MIDDLEWARE):
        app.mount("/", ASGIHandler())
    session = sign_in("ann").cookies["sessionid"].value
    picked = [str(pk) for pk in Order.objects.order_by("pk").values_list("pk", flat=True)[:3]]
    with (
        override_settings(WAYBILL={**project_settings, "DOWNLOAD": "stream"}),
        serving(app) as address,
        httpx.Client(base_url=address, cookies={"sessionid": session}, timeout=60) as ann,
        httpx.Client(base_url=address, timeout=60) as other,
    ):
        forget_host()
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', ann.get(CHANGELIST).text)
        assert token
        chosen = {"action": "export_selected", "_selected_action": picked}
        assert ann.post(CHANGELIST, data=chosen).status_code == 403
        made = ann.post(CHANGELIST, data={**chosen, "csrfmiddlewaretoken": token[1]})
        where = made.headers["location"]
        waiting = ann.get(where)
        assert (waiting.headers.get("refresh"), "<progress" in waiting.text) == ("2", True)

        # The same subject and tenant, and yet somebody else's service.
        theirs = other.post("/data/api/users/export")
        assert theirs.status_code == 202
        link = theirs.headers["location"]
        assert other.post("/data/api/orders/export").json()["code"] == "unknown_export_type"
        export = where.removeprefix("/exports/").strip("/")
        assert other.get(f"/data/api/exports/{export}").status_code == 404
        assert ann.get(f"/exports/{theirs.json()['id']}/").status_code == 404
        assert [each["id"] for each in other.get("/data/api/exports").json()["items"]] == [
            theirs.json()["id"]
        ]

        _, _, data = shop_project.run(export)
        done = ann.get(where)
        assert "refresh" not in done.headers
        assert f"{where}download/" in done.text
        with ann.stream("GET", f"{where}download/") as answer:
            assert answer.headers["content-length"] == str(len(data))
            assert b"".join(answer.iter_bytes()) == data
        assert data.count(b"\n") == 1 + len(picked)
        assert other.get(f"{where}download/").status_code == 302  # to sign in
        with other.stream("GET", f"{link}/events") as events:
            assert next(events.iter_lines()).startswith("retry")
