"""The pages' own files: a style sheet, a module of script and an icon, from the package."""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
from typing import Final

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from waybill.web.head import HeadRoute

FILES: Final = {
    "pages.css": "text/css; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# Addresses carry the content's digest, so what they name never changes.
_CACHED: Final = "public, max-age=31536000, immutable"
_BRIEFLY: Final = "public, max-age=3600"

router = APIRouter(include_in_schema=False, route_class=HeadRoute)


@router.get("/assets/{name}")
async def page_asset(name: str, v: str = "") -> Response:
    """Return one of the files. None of them is anybody's secret."""
    if name not in FILES:
        raise HTTPException(404)
    headers = {"Cache-Control": _CACHED if v == version(name) else _BRIEFLY}
    return Response(read(name), media_type=FILES[name], headers=headers)


@functools.cache
def read(name: str) -> bytes:
    """Return a file's content."""
    return (importlib.resources.files("waybill.web") / "static" / name).read_bytes()


@functools.cache
def version(name: str) -> str:
    """Return what an address of the file carries."""
    return hashlib.sha256(read(name)).hexdigest()[:12]
