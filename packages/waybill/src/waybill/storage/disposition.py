"""``Content-Disposition`` after RFC 6266, for our own responses and for presigned links."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

# Path separators and what Windows forbids in a name; control characters would break the header.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]+')
# What nobody sees, or what turns the rest around, so that a program reads as a document. Joiners
# stay, of which words are made in Persian and Hindi.
_UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+"
)
# What Windows opens as a device, whatever follows behind the first dot (Microsoft, "Naming Files,
# Paths, and Namespaces"; the superscripts count as digits).
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\.|$)", re.I)
_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 8187, 3.2.1, beside letters and digits
_MAX_CHARACTERS = 150
_MAX_BYTES = 240
"""File systems take 255, and downloads in the making have an ending of their own."""
_LONGEST_EXTENSION = 20


def safe_file_name(name: str) -> str:
    """Return ``name`` as a name for a file anywhere: no path, no device of Windows, nothing that a
    file system cuts off or refuses, nothing that looks like another. A safe name stays as it is."""
    seen = _UNSEEN.sub("_", name.encode("utf-8", "replace").decode())
    safe = _UNSAFE.sub("_", seen).strip(" .") or "export"
    if _DEVICE.match(safe):
        safe = f"_{safe}"
    stem, dot, extension = safe.rpartition(".")
    if not dot or len(extension) > _LONGEST_EXTENSION:
        stem, dot, extension = safe, "", ""
    ending = dot + extension
    while len(stem + ending) > _MAX_CHARACTERS or len((stem + ending).encode()) > _MAX_BYTES:
        stem = stem[:-1]
    return stem + ending if ending else stem.rstrip(" .")


def content_disposition(filename: str) -> str:
    """Return ``attachment`` with ``filename`` for old clients and ``filename*`` in UTF-8.

    Anything that could end the header or leave the download directory becomes ``_``.
    """
    name = safe_file_name(filename)
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    # RFC 6266, appendix D: no percent sign in the plain form, some clients would decode it.
    ascii_name = safe_file_name(ascii_name.replace("%", "_"))
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"
