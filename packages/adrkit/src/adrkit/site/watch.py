"""`adr site --watch`: the site from memory, on this machine alone, built anew at each change.

Needs the extra ``adrkeep[watch]``. Nothing is written. An open page asks for the number of the
build that it does not have yet, and loads itself again when the answer comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from watchfiles import watch

HOST = "127.0.0.1"
_WAIT_SECONDS = 20
_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
    ".avif": "image/avif",
}  # fmt: skip
_RELOAD = """"use strict";
(async () => {
  const version = document.currentScript.dataset.version;
  for (;;) {
    try {
      const answer = await fetch(`/-/build?other-than=${version}`);
      if (answer.ok && (await answer.text()) !== version) { location.reload(); return; }
    } catch { await new Promise((done) => setTimeout(done, 1000)); }
  }
})();
"""


class Preview:
    """The site as it is now; ``version`` counts the builds that differ from the one before."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._changed = threading.Condition()
        self._contents = contents
        self._version = 1

    def replace(self, contents: Mapping[str, bytes]) -> bool:
        """Whether anything is different now."""
        with self._changed:
            if contents == self._contents:
                return False
            self._contents = contents
            self._version += 1
            self._changed.notify_all()
            return True

    def version_after(self, known: str) -> int:
        """The version, once it is another one than ``known``, or after a while."""
        with self._changed:
            self._changed.wait_for(lambda: str(self._version) != known, _WAIT_SECONDS)
            return self._version

    def page(self, name: str) -> bytes | None:
        """A file of the site; pages with what lets them load themselves again."""
        with self._changed:
            content, version = self._contents.get(name), self._version
        if content is None or not name.endswith(".html"):
            return content
        script = f'<script src="/-/reload.js" data-version="{version}"></script>\n</head>'
        return content.replace(
            b"default-src 'none';", b"default-src 'none'; connect-src 'self';", 1
        ).replace(b"</head>", script.encode(), 1)


def preview_server(preview: Preview, port: int = 0) -> ThreadingHTTPServer:
    """Serves ``preview`` on HOST; port 0 is any free one. Raises OSError."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            # Another site's name may lead here (DNS rebinding): only our own is answered.
            if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
                self._answer(HTTPStatus.FORBIDDEN, b"ask for http://127.0.0.1", ".txt")
            elif address.path == "/-/reload.js":
                self._answer(HTTPStatus.OK, _RELOAD.encode(), ".js")
            elif address.path == "/-/build":
                known = address.query.removeprefix("other-than=")
                self._answer(HTTPStatus.OK, str(preview.version_after(known)).encode(), ".txt")
            else:
                name = unquote(address.path).lstrip("/") or "index.html"
                content = preview.page(name)
                found = HTTPStatus.NOT_FOUND if content is None else HTTPStatus.OK
                self._answer(found, content or b"no such page", Path(name).suffix.lower())

        def _answer(self, status: HTTPStatus, content: bytes, suffix: str) -> None:
            kind = _TYPES.get(suffix, "text/plain; charset=utf-8")
            self.send_response(status)
            self.send_header("Content-Type", kind if status == HTTPStatus.OK else "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """A line for each file of a page would hide what the rebuilds say."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A browser that left in the middle of an answer is no fault."""

    return Server((HOST, port), Handler)


def rebuilds(places: Iterable[Path]) -> Iterable[None]:
    """One item for each moment at which the site may have changed, until Ctrl-C."""
    first = True
    for changes in watch(*places, raise_interrupt=False, yield_on_timeout=True, rust_timeout=1000):
        # The first comes also without a change: there may have been one before the watch began.
        if changes or first:
            yield None
        first = False


def serve(
    build: Callable[[], Mapping[str, bytes] | None],
    places: Iterable[Path],
    port: int,
    said: Callable[[str], None],
) -> None:
    """Until Ctrl-C. ``build`` gives None when it cannot, and has said why: the last one stays."""
    preview = Preview(build() or {})
    server = preview_server(preview, port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    said(f"http://{HOST}:{server.server_address[1]}/ (Ctrl-C ends it)")
    try:
        for _ in rebuilds(places):
            contents = build()
            if contents is not None and preview.replace(contents):
                said("built anew")
    except KeyboardInterrupt:
        pass
    finally:
        server.shutdown()
        server.server_close()
