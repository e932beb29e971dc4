"""The element ``<waybill-export>``: the module that hosts embed, and its texts.

``element/`` is at once what the API serves and what npm packs. The texts in the module are the
pages' own, written into it by ``python -m waybill.web.element``; a test holds the two equal, so
nothing is built when it is served.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response

from waybill.jobs.explanations import EXPLANATIONS
from waybill.web.head import HeadRoute
from waybill.web.texts import LANGUAGES, Texts

MODULE: Final = "waybill-export.js"
_BEGIN: Final = "/* texts:begin */"
_END: Final = "/* texts:end */"
_KEYS: Final = (
    *("request.send", "history.rows", "quota.left", "quota.next", "progress.said", "error.title"),
    *("refused.quota_exceeded", "error.unknown_export_type", "error.export_not_found"),
    *("error.too_many_requests", "error.database_unavailable"),
    *("watch.cancel", "watch.download", "watch.left", "watch.lost", "watch.progress"),
    *("watch.of_rows", "watch.of_about_rows"),
)
_FAMILIES: Final = ("element.", "status.", "says.")

router = APIRouter(include_in_schema=False, route_class=HeadRoute)


@router.get(f"/elements/{MODULE}")
async def element_module() -> Response:
    """Return the module. It is nobody's secret: which origins may *use* it says the API."""
    return Response(
        read(),
        media_type="text/javascript; charset=utf-8",
        headers={
            # Modules are fetched with CORS wherever they come from.
            "Access-Control-Allow-Origin": "*",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Cache-Control": "public, max-age=3600",
        },
    )


@functools.cache
def read() -> bytes:
    """Return the module as hosts get it."""
    return (importlib.resources.files("waybill.web") / "element" / MODULE).read_bytes()


def element_texts() -> dict[str, dict[str, str]]:
    """Return what the module says, in each language, explanations of failures included."""
    found = {}
    for language, texts in LANGUAGES.items():
        say = Texts(language)
        found[language] = {
            key: text
            for key, text in texts.items()
            if key.removesuffix(".one") in _KEYS or key.startswith(_FAMILIES)
        } | {f"explain.{code}": say.explain(code) for code in EXPLANATIONS}
    return found


def with_texts(source: str) -> str:
    """Return the module's source with the catalogue's texts in it."""
    before, _, rest = source.partition(_BEGIN)
    after = rest.partition(_END)[2]
    texts = json.dumps(element_texts(), ensure_ascii=False, indent=1)
    return f"{before}{_BEGIN}\nconst TEXTS = {texts};\n{_END}{after}"


def _write() -> None:
    path = Path(__file__).parent / "element" / MODULE
    path.write_text(with_texts(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    _write()
