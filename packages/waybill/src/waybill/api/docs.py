"""``/docs``: the API to try out in a browser, from files of our own. Served only where wanted.

FastAPI's page loads its programs from a network that anybody may be behind, into a page in which
people paste tokens. This one loads nothing from elsewhere, and its Content-Security-Policy says so.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

_FILES: Final = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
_START: Final = """\
SwaggerUIBundle({
  url: document.getElementById("swagger-ui").dataset.document,
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>waybill API</title>
<link rel="stylesheet" href="{root}/docs/swagger-ui.css">
<div id="swagger-ui" data-document="{root}/openapi.json"></div>
<script src="{root}/docs/swagger-ui-bundle.js"></script>
<script src="{root}/docs/start.js"></script>
</html>
"""
# The styles that Swagger UI sets on single elements need 'unsafe-inline'; no program does.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Return the page."""
    root = request.scope.get("root_path", "").rstrip("/")
    return HTMLResponse(
        _PAGE.replace("{root}", _quoted(root)), headers={"Content-Security-Policy": _POLICY}
    )


@router.get("/docs/{name}")
async def docs_file(name: str) -> Response:
    """Return one of the page's files."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript; charset=utf-8")
    if name not in _FILES:
        raise HTTPException(404)
    return Response(
        _read(name),
        media_type=_FILES[name],
        headers={"Cache-Control": "public, max-age=86400"},
    )


@functools.cache
def _read(name: str) -> bytes:
    return (importlib.resources.files("waybill.api") / "swagger_ui" / name).read_bytes()


def _quoted(path: str) -> str:
    import html

    return html.escape(path, quote=True)
