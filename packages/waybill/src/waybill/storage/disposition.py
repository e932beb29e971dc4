"""``Content-Disposition`` after RFC 6266, for our own responses and for presigned links."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

# Path separators and what Windows forbids in a name; control characters would break the header.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]+')
_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 8187, 3.2.1, beside letters and digits
_MAX_CHARACTERS = 150


def content_disposition(filename: str) -> str:
    """Return ``attachment`` with ``filename`` for old clients and ``filename*`` in UTF-8.

    Anything that could end the header or leave the download directory becomes ``_``.
    """
    name = _UNSAFE.sub("_", filename).strip(" .") or "export"
    name = name.encode("utf-8", "replace").decode()
    if len(name) > _MAX_CHARACTERS:
        stem, dot, extension = name.rpartition(".")
        name = (stem or extension)[: _MAX_CHARACTERS - len(extension) - 1] + dot + extension
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    # RFC 6266, appendix D: no percent sign in the plain form, some clients would decode it.
    ascii_name = _UNSAFE.sub("_", ascii_name.replace("%", "_")).strip(" .") or "export"
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"
