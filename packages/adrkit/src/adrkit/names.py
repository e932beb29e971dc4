"""What a record's file name says: its number, or the day log4brains puts there.

=========================================  ==============================
name                                       read as
=========================================  ==============================
``0012-title.md``, ``12_title.md``         number 12
``ADR-12-title.md``, ``adr_0012.md``       number 12
``ADR 12 - title.md``, ``12. Title.md``    number 12
``web-adr-0012-title.md``, ``12.md``       number 12
``020a-title.md``                          number 20, suffix "a"
``20230501-title.md``                      2023-05-01, no number
``2023-05-01-title.md``                    2023-05-01, no number
=========================================  ==============================
"""

from __future__ import annotations

import datetime
import os.path
import re
import unicodedata
from pathlib import Path

_NUMBER = re.compile(
    r"(?:(?:[a-z][a-z0-9]*[-_ ])?adr[-_ .#]*)?(\d{1,6})([a-z]?)(?=[-_. ,:–—]|$)", re.IGNORECASE
)
_DAY = re.compile(r"(?:adr[-_ ])?(\d{4})(-?)(\d{2})\2(\d{2})(?=[-_. ]|T\d|$)", re.IGNORECASE)


def file_day(path: Path) -> datetime.date | None:
    """The day that the name begins with; None when it begins with none."""
    match = _DAY.match(path.stem)
    if match is None:
        return None
    try:
        return datetime.date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None


def file_number(path: Path) -> tuple[int, str] | None:
    """Number and letter suffix in a record's file name: ``0007-title.md`` is ``(7, "")``."""
    if file_day(path) is not None:
        return None
    match = _NUMBER.match(path.stem)
    return (int(match.group(1)), match.group(2).lower()) if match else None


def real_path(path: Path) -> Path:
    """``path`` with its links followed as far as they lead: a circle of links is no error."""
    return Path(os.path.realpath(path))


def existing(path: Path) -> Path | None:
    """``path`` as it is spelled on the disk, None when nothing is there.

    Names count in either normal form (NFC or NFD): a name that was typed on one system and
    committed on another is the same to a reader, who cannot see the difference. A name that is
    there as it is written comes first.
    """
    try:
        if path.exists():
            return path
        if str(path).isascii():
            return None
        found = Path(path.anchor)
        for part in Path(os.path.normpath(path)).relative_to(path.anchor).parts:
            if (step := found / part).exists():
                found = step
            else:
                found = next(other for other in found.iterdir() if same_name(other.name, part))
    except (OSError, ValueError, StopIteration):  # a name too long, a null character
        return None
    return found if found.exists() else None


def same_name(left: str, right: str) -> bool:
    """Whether two file names are one, whichever normal form (NFC or NFD) each was written in."""
    return left == right or unicodedata.normalize("NFC", left) == unicodedata.normalize(
        "NFC", right
    )
