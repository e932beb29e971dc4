"""A record in no known format: read as far as it goes, so that commands can say what is missing."""

from __future__ import annotations

from adrkit.dialects.base import Header, document_title, header_fields, status_of
from adrkit.dialects.house import HouseDialect
from adrkit.document import Document


class UnmarkedDialect(HouseDialect):
    """The house template's sections with metadata lines in any spelling."""

    name = "unmarked"

    def matches(self, document: Document) -> bool:
        return True

    def header(self, document: Document) -> Header:
        fields = header_fields(document, continued=False)
        return Header(
            document_title(document), fields.get("date"), status_of(fields.get("status")),
            fields.get("context"), fields,
        )  # fmt: skip
