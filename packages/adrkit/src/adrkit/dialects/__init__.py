"""The record formats adrkit reads, most specific first. To add one: a module and a line here."""

from adrkit.dialects.base import Dialect, Header, Successor
from adrkit.dialects.house import HouseDialect
from adrkit.dialects.madr import MadrDialect
from adrkit.dialects.nygard import NygardDialect
from adrkit.dialects.unmarked import UnmarkedDialect
from adrkit.document import Document

#: The last one matches everything.
DIALECTS: tuple[Dialect, ...] = (MadrDialect(), NygardDialect(), HouseDialect(), UnmarkedDialect())


def detect(document: Document) -> Dialect:
    """The first registered dialect that recognises the document."""
    return next(dialect for dialect in DIALECTS if dialect.matches(document))


__all__ = ["DIALECTS", "Dialect", "Header", "Successor", "detect"]
