"""Who reads the rows of a plan: one connection, or several on one snapshot, in order either way.

One backend prints on one core, which for a large table is all the time there is (what a row costs:
ADR-0008). So large tables are read by several connections that share an exported snapshot. The key
space is cut into consecutive ranges of some MiB of output; each reader takes the next range, and
what they read is passed on range by range. The file is the same to the byte as that of one reader.

Bounds are stepped along the key's own index in the snapshot (``KeyLookup``), a few ranges ahead,
so ranges hold an exact number of rows whatever the key's type, its gaps or its skew, and a range
that does not bring that number is noticed. At the end all rows are counted once more, without
ranges.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Final

from waybill.formats import Encoding
from waybill.formats.base import ResumableEncoding
from waybill.formats.plan import ExportPlan
from waybill.log import get_logger
from waybill.pipeline.many_readers import ManyReaders
from waybill.pipeline.ranges import Parallel
from waybill.pipeline.row_reader import OneReader, RowReader
from waybill.source.processors import count_processors
from waybill.source.source import PostgresSnapshot

__all__ = ["ManyReaders", "OneReader", "Parallel", "RowReader", "default_readers", "open_reader"]

log = get_logger(__name__)

MOST_READERS: Final = 4
_LARGE_ROWS: Final = 10_000
"""From here on one connection, too, prepares for much (``Session.copy``)."""

_MAY_MOVE: Final = re.compile(
    r"[\w\"]\s*\(|\b(?:current|local|session|now|today|user)", re.IGNORECASE
)


def default_readers(plan: ExportPlan, *, is_beside_source: bool) -> int:
    """Return how many readers suit a plan on this machine: one per processor, at most 4.

    Half as many if PostgreSQL runs on it too and the file is sent as it is: its backends and the
    sending then keep the processors busy (measured in ADR-0008).
    """
    share = 2 if is_beside_source and not plan.is_compressed else 1
    return max(1, min(MOST_READERS, count_processors() // share))


def open_reader(
    plan: ExportPlan,
    snapshot: PostgresSnapshot,
    encoding: Encoding,
    check: Callable[[], None],
    *,
    expected_rows: int | None,
    parallel: Parallel | None,
) -> RowReader:
    """Return the reader for a plan: several connections for a large table with an index on its
    key, else one.

    Typed formats are encoded in the run's process alone, by a thread that keeps a processor busy:
    they get one reader less. (On two processors, two readers take longer than one, and more
    memory.)
    """
    if parallel is not None and not isinstance(encoding, ResumableEncoding):
        parallel = dataclasses.replace(parallel, readers=parallel.readers - 1)
    if (
        parallel is None
        or parallel.readers < 2
        or expected_rows is None
        or expected_rows < parallel.smallest_rows
        or plan.limit is not None
        # A function is called by one thread, in the order of the rows.
        or plan.computed
        or plan.export_type.limits_rate
        or not plan.order_by
        or _depends_on_the_moment(plan)
        or not snapshot.has_key_index(plan.export_type)
        or not _is_order_reliable(plan, snapshot)
    ):
        is_large = expected_rows is None or expected_rows >= _LARGE_ROWS
        return OneReader(plan, snapshot, encoding, check, is_large=is_large)
    return ManyReaders(plan, snapshot, encoding, check, parallel)


def _is_order_reliable(plan: ExportPlan, snapshot: PostgresSnapshot) -> bool:
    order = snapshot.key_order(plan.export_type)
    if not order.is_reliable:
        log.warning("source.order_unreliable", reason=order.reason())
    return order.is_reliable


def _depends_on_the_moment(plan: ExportPlan) -> bool:
    """Whether the operator's row scope may say something else in another transaction: ``now()`` is
    when a transaction began, and each reader has its own. Any call is taken for such a one."""
    scope = plan.export_type.scope
    return scope is not None and any(_MAY_MOVE.search(piece) for piece in scope.pieces)
