"""Every metric, once, with its labels. Labels are bounded: ``recording`` keeps the first
``MOST_VALUES`` values of each, and calls the rest ``other``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MOST_VALUES: Final = 100


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``name`` is without the ``_total`` that a counter's series end in."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names by which queries know it."""
        match self.kind:
            case Kind.COUNTER:
                return (f"{self.name}_total",)
            case Kind.HISTOGRAM:
                return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
            case Kind.GAUGE:
                return (self.name,)


_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_ROWS: Final = (0, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
_BYTES: Final = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"waybill_{name}", Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"waybill_{name}", Kind.GAUGE, text, labels)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(f"waybill_{name}", Kind.HISTOGRAM, text, labels, buckets)


# -- exports, counted where they happen ----------------------------------------------------------

EXPORTS: Final = _counter(
    "exports", "Exports that ended, by how; cause is empty unless they failed.",
    "type", "format", "status", "cause",
)  # fmt: skip
ATTEMPTS: Final = _counter(
    "export_attempts", "Attempts that ended, by how (retried, lease_lost …).", "type", "outcome"
)
FAILURES: Final = _counter(
    "attempt_failures", "Attempts that failed, by their error's code.", "type", "cause", "code"
)
LEASES_LOST: Final = _counter(
    "export_leases_lost", "Attempts that the sweeper ended, as their worker was not heard of."
)
WAITING: Final = _histogram(
    "export_waiting_seconds", "From the request to the first attempt.", _SECONDS, "urgency"
)
RUNNING_TIME: Final = _histogram(
    "export_run_seconds", "The attempt that completed an export.", _SECONDS, "type", "format"
)
ROWS: Final = _histogram("export_rows", "Rows of completed exports.", _ROWS, "type")
BYTES: Final = _histogram("export_file_bytes", "Files of completed exports.", _BYTES, "format")
FIRST_BYTE: Final = _histogram(
    "stream_first_byte_seconds", "From a stream's request to its first byte.", _SECONDS, "type"
)
FALLBACKS: Final = _counter(
    "export_fallbacks", "Exports kept in the database, as object storage was away."
)
OBJECTIVES: Final = _counter(
    "objective_events", "Exports held against an objective of their urgency.",
    "urgency", "objective",
)  # fmt: skip
OBJECTIVES_MISSED: Final = _counter(
    "objective_misses", "Exports that missed it.", "urgency", "objective"
)

# -- the API -------------------------------------------------------------------------------------

REFUSALS: Final = _counter(
    "request_refusals", "Requests that were refused, by the problem's code (quota_exceeded …).",
    "code",
)  # fmt: skip
REQUESTS: Final = _counter(
    "http_requests", "Answers, by route and class of status.", "method", "route", "status"
)
KEYS_FETCHED: Final = _gauge(
    "sign_in_keys_fetched_timestamp_seconds", "When the issuer's keys were last fetched."
)
KEY_FAILURES: Final = _counter("sign_in_key_failures", "Fetches of the issuer's keys that failed.")

# -- notifications -------------------------------------------------------------------------------

NOTIFICATIONS: Final = _counter(
    "notifications", "Deliveries, by how they ended (delivered, postponed, dead).",
    "channel", "outcome",
)  # fmt: skip

# -- the state of everything, by the scheduler ---------------------------------------------------

QUEUED: Final = _gauge("exports_queued", "Exports that wait for a worker or their next attempt.")
DUE: Final = _gauge("queue_depth", "Exports that wait for a worker.")
OLDEST_DUE: Final = _gauge(
    "queue_oldest_seconds", "How long the first export in the queue has been waiting."
)
RUNNING: Final = _gauge("exports_running", "Exports under a lease.")
STUCK: Final = _gauge("exports_stuck", "Running exports whose lease is over.")
LONGEST_SILENCE: Final = _gauge(
    "longest_silence_seconds", "How long ago the first of the ended leases ended."
)
OLDEST_SNAPSHOT: Final = _gauge(
    "source_oldest_snapshot_seconds", "How long the oldest running attempt has kept its snapshot."
)
DEAD_LETTERS: Final = _gauge("dead_letters", "Exports that failed and were not replayed.")
LEFTOVERS: Final = _gauge("leftovers", "Files out of reach whose objects are not yet deleted.")
FALLBACK_FILES: Final = _gauge(
    "fallback_files", "Files that lie in the database, as object storage was away."
)
FALLBACK_BYTES: Final = _gauge("fallback_bytes", "The bytes of those files.")
FALLBACK_LIMIT: Final = _gauge("fallback_limit_bytes", "How many of them there may be.")
NOTIFICATIONS_DUE: Final = _gauge("notifications_pending", "Notifications not yet delivered.")
SET_ASIDE: Final = _gauge(
    "queue_messages_set_aside", "Messages in the queue that no program of waybill sent."
)
DEPENDENCY_UP: Final = _gauge(
    "dependency_up", "Whether a dependency answers the scheduler: 1 or 0.", "dependency"
)
LOOKED_AT: Final = _gauge(
    "monitor_timestamp_seconds", "When the scheduler last looked at all of these."
)

# -- the process ---------------------------------------------------------------------------------

CONCURRENCY: Final = _gauge("worker_concurrency", "How many exports this worker runs at a time.")
UNHEARD: Final = _counter(
    "metrics_unheard", "Figures that were lost on their way from a worker's process."
)

METRICS: Final[dict[str, Metric]] = {
    each.name: each for each in tuple(globals().values()) if isinstance(each, Metric)
}
