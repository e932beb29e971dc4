"""A record in no known format: read as far as it goes, so that commands can say what is missing."""

from __future__ import annotations

from adrkit.dialects.house import HouseDialect
from adrkit.document import Document


class UnmarkedDialect(HouseDialect):
    """The house template's sections with metadata lines in any spelling."""

    name = "unmarked"

    def matches(self, document: Document) -> bool:
        return True
