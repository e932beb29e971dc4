"""What a reader of rows is, and the one on the snapshot's own connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self

from waybill.formats import Encoding
from waybill.formats.computed import with_computed
from waybill.formats.plan import ExportPlan
from waybill.source.source import PostgresSnapshot


class RowReader(Protocol):
    """Gives the bytes of a plan's rows. For one thread; used as a context."""

    @property
    def rows(self) -> int:
        """Rows given so far, as the encodings counted them."""
        ...

    @property
    def copied_rows(self) -> int | None:
        """Rows by PostgreSQL's command tags; ``None`` until all have been given."""
        ...

    def pieces(self) -> Iterator[bytes | bytearray]:
        """Yield the file's bytes between header and footer: at most 1,000 rows at a time, or
        nothing yet. What it raises ends the run."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class OneReader:
    """Reads on the snapshot's own connection.

    Args:
        plan: what is read.
        snapshot: of the source.
        encoding: of the plan.
        check: called before each row for which Python computes something; stops by raising.
        is_large: whether many rows are expected (``Session.copy``).
    """

    def __init__(
        self,
        plan: ExportPlan,
        snapshot: PostgresSnapshot,
        encoding: Encoding,
        check: Callable[[], None],
        *,
        is_large: bool = True,
    ) -> None:
        self._plan = plan
        self._snapshot = snapshot
        self._encoding = encoding
        self._check = check
        self._is_large = is_large

    @property
    def rows(self) -> int:
        return self._encoding.rows

    @property
    def copied_rows(self) -> int | None:
        return self._snapshot.copied_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def pieces(self) -> Iterator[bytes | bytearray]:
        chunks = self._snapshot.copy(self._encoding.statement, is_large=self._is_large)
        for chunk in with_computed(self._plan, chunks, self._check):
            yield self._encoding.encode(chunk)
