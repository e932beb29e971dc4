"""Source-preserving Markdown: bytes in, identical bytes out, edits by spans."""

from adrkit.document.document import (
    Document,
    Fence,
    Heading,
    ListItem,
    Paragraph,
    Section,
)
from adrkit.document.front_matter import Entry, FrontMatter
from adrkit.document.inline import CodeSpan, Link, LinkKind, plain
from adrkit.document.source import Edit, Position, Source, Span, SpanSweep
from adrkit.document.tables import Cell, Table, TableRow

__all__ = [
    "Cell", "CodeSpan", "Document", "Edit", "Entry", "Fence", "FrontMatter", "Heading", "Link",
    "LinkKind",
    "ListItem", "Paragraph", "Position", "Section", "Source", "Span", "SpanSweep", "Table",
    "TableRow", "plain",
]  # fmt: skip
