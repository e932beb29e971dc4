"""The record formats adrkit reads, most specific first. To add one: a module and a line
here."""

from functools import cache

from adrkit.dialects.base import Dialect, Header, Successor
from adrkit.dialects.house import HouseDialect
from adrkit.dialects.madr import MadrDialect
from adrkit.dialects.nygard import NygardDialect
from adrkit.dialects.unmarked import UnmarkedDialect
from adrkit.document import Document
from adrkit.reading import DEFAULT_READING, Reading


@cache
def dialects(reading: Reading = DEFAULT_READING) -> tuple[Dialect, ...]:
    """All formats, the way a project wants them read; the last one matches everything."""
    return (
        MadrDialect(reading), NygardDialect(reading), HouseDialect(reading),
        UnmarkedDialect(reading),
    )  # fmt: skip


def detect(document: Document, reading: Reading = DEFAULT_READING) -> Dialect:
    """The first registered dialect that recognises the document."""
    return next(dialect for dialect in dialects(reading) if dialect.matches(document))


__all__ = ["Dialect", "Header", "Successor", "detect", "dialects"]
