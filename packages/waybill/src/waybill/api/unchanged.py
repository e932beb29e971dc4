"""Headers of answers that whoever stands in between must not change: an application's own
middleware around a mount, a proxy, a CDN.

What compresses an answer holds back what should come at once, or takes away the length, ranges and
strong ETag of a file, so that a browser cannot go on with it. ``no-transform`` (RFC 9111, 5.2.2.6)
says so to proxies; Django, Starlette and nginx know it not, but all leave an answer alone that has
a ``Content-Encoding``, if only this one, which every client takes for none.
"""

from __future__ import annotations

from typing import Final

UNCHANGED: Final = {
    "Cache-Control": "no-store, no-transform",
    "Content-Encoding": "identity",
}
