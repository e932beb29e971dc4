"""What reading gives and encoding takes: rows as COPY sent them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CopyChunk:
    """Whole rows, one message each: as COPY sent them, or the one value of a binary COPY's."""

    messages: Sequence[bytes | memoryview]

    @property
    def rows(self) -> int:
        return len(self.messages)

    @property
    def data(self) -> bytes:
        """All messages in a row; joined anew at each call."""
        return b"".join(self.messages)
