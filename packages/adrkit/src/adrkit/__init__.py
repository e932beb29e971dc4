"""Architecture decision records: read, written, numbered, linked and kept true.

>>> from adrkit import Record
>>> record = Record.from_text("# ADR-0007: Use Queues\\n\\n**Status:** Accepted\\n")
>>> record.number, record.name, record.status_kind.value
(7, 'Use Queues', 'Accepted')
"""

__version__ = "0.2.0"

from adrkit.config import Config, load_config
from adrkit.document import Document, Edit, Span
from adrkit.errors import AdrkitError
from adrkit.git import Git
from adrkit.ledger import NumberLedger
from adrkit.model import SectionName, Status, VerdictKind
from adrkit.record import Record
from adrkit.repository import RecordRepository

__all__ = [
    "AdrkitError", "Config", "Document", "Edit", "Git", "NumberLedger", "Record",
    "RecordRepository", "SectionName", "Span", "Status", "VerdictKind", "__version__",
    "load_config",
]  # fmt: skip
