"""Conditional and range requests (RFC 9110, sections 13 and 14) on one unchanging file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

# One range is all that resuming and parallel clients ask for; a list of ranges is answered whole,
# as RFC 9110 (14.2) allows.
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
# int() of a text without bound takes time without bound.
_MAX_DIGITS = 19


class Answer(Enum):
    """What a request for a file is answered with."""

    WHOLE = 200
    PART = 206
    NOT_MODIFIED = 304
    PRECONDITION_FAILED = 412
    RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True, slots=True)
class Selection:
    """The answer, and the bytes ``start`` (inclusive) to ``stop`` (exclusive) that go with it."""

    answer: Answer
    start: int
    stop: int


class RangeNotSatisfiable(Exception):
    """The range lies outside the file."""


def select(headers: Mapping[str, str], *, method: str, etag: str, size: int) -> Selection:
    """Evaluate the conditions of a request, in the order of RFC 9110, section 13.2.2.

    Args:
        headers: of the request, by lower-case name.
        method: ``GET`` or ``HEAD``.
        etag: the file's strong entity tag, with its quotes.
        size: the file's length in bytes.
    """
    if_match = headers.get("if-match")
    if if_match is not None and not _lists(if_match, etag, weak=False):
        return Selection(Answer.PRECONDITION_FAILED, 0, 0)
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None and _lists(if_none_match, etag, weak=True):
        return Selection(Answer.NOT_MODIFIED, 0, 0)
    # A range of another version is no range of this one; a date never names a version (13.1.5),
    # and HEAD has no body to take a range of (14.2).
    wanted = None
    if method == "GET" and headers.get("if-range", etag) == etag:
        try:
            wanted = parse_range(headers.get("range"), size)
        except RangeNotSatisfiable:
            return Selection(Answer.RANGE_NOT_SATISFIABLE, 0, 0)
    if wanted is None:
        return Selection(Answer.WHOLE, 0, size)
    return Selection(Answer.PART, *wanted)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return ``(start, stop)`` of a single byte range, ``None`` to answer with the whole.

    Raises:
        RangeNotSatisfiable: the range lies outside the file.
    """
    match = _RANGE.fullmatch((header or "").replace(" ", "").replace("\t", "").lower())
    if match is None or not (match[1] or match[2]):
        return None
    if len(match[1]) > _MAX_DIGITS or len(match[2]) > _MAX_DIGITS:
        return None
    if not match[1]:
        length = int(match[2])
        if length == 0 or size == 0:
            raise RangeNotSatisfiable
        return max(0, size - length), size
    start = int(match[1])
    if match[2] and int(match[2]) < start:
        return None  # malformed (14.1.1), so there is no Range header
    if start >= size:
        raise RangeNotSatisfiable
    return start, (min(int(match[2]) + 1, size) if match[2] else size)


def _lists(header: str, etag: str, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    tags = _ETAG.findall(header)
    return etag in ([tag.removeprefix("W/") for tag in tags] if weak else tags)
