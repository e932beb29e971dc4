"""What a caller asked for too often, too much or at the wrong time."""

from __future__ import annotations

import math

from waybill.errors.tree import RequestError
from waybill.errors.wording import duration


class QuotaExceeded(RequestError):
    """A person has used up their exports. ``retry_after_seconds`` is when one is free again."""

    code = "quota_exceeded"

    def __init__(
        self, policy: str, *, limit: int, window_seconds: int, retry_after_seconds: int
    ) -> None:
        self.policy = policy
        self.limit = limit
        self.window_seconds = window_seconds
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"You have used your {limit} exports of the last {window_seconds / 3600:g} hours "
            f"(quota {policy!r}). The next is possible in {duration(retry_after_seconds)}. "
            "Exports that our side broke, or that you cancelled before they began, do not count, "
            "up to a few a day."
        )


class DryRunsExceeded(QuotaExceeded):
    """A person has used up their dry runs, or the rows that those may read."""

    code = "dry_runs_exceeded"

    def __init__(
        self, policy: str, *, limit: int, window_seconds: int, retry_after_seconds: int
    ) -> None:
        super().__init__(
            policy,
            limit=limit,
            window_seconds=window_seconds,
            retry_after_seconds=retry_after_seconds,
        )
        what = "dry runs" if policy == "dry-runs" else "rows of dry runs"
        self.args = (
            f"You have used your {limit} {what} of the last {window_seconds / 3600:g} hours. The "
            f"next is possible in {duration(retry_after_seconds)}; the export itself can be "
            "requested before.",
        )


class TooManyRequests(RequestError):
    """A principal asks faster than the service answers one."""

    code = "too_many_requests"

    def __init__(self, *, per_second: float, burst: int, retry_after_seconds: int) -> None:
        self.per_second = per_second
        self.burst = burst
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"Too many requests: {per_second:g} a second are answered, {burst} at once. "
            f"Wait {duration(retry_after_seconds)}, as Retry-After says."
        )


class DownloadLimitReached(RequestError):
    """The file was downloaded as often as it may be."""

    code = "download_limit_reached"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        times = "once" if limit == 1 else f"{limit} times"
        super().__init__(
            f"This file may be downloaded {times}, and has been. Request a new export."
        )


class TooManyWatchers(RequestError):
    """This process holds as many event streams as it may."""

    code = "too_many_watchers"

    def __init__(self) -> None:
        super().__init__(
            "Too many event streams are open at the moment. Poll the export instead, or come back "
            "later."
        )


class TooManyStreams(RequestError):
    """This process sends as many exports at once as it may."""

    code = "too_many_streams"
    retry_after_seconds = 5

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{limit} exports are being streamed at the moment, which is all there may be. Try "
            "again shortly, or request the export as a job."
        )


class SourceFull(RequestError):
    """As many exports read the type's source as may at a time."""

    code = "source_full"
    retry_after_seconds = 5

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{limit} exports read this database at the moment, which is all that may at a time. "
            "Try again shortly, or request the export as a job, which waits for its turn."
        )


class OutsideHours(RequestError):
    """Exports of the type begin at other hours of the day."""

    code = "outside_hours"

    def __init__(self, hours: str, retry_after_seconds: float) -> None:
        self.hours = hours
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"Exports of this type begin in {hours} only. Request it as a job, which waits until "
            "then."
        )


class TooManyOpen(RequestError):
    """One person, or one network address, holds as many open streams as it may."""

    code = "too_many_open"
    retry_after_seconds = 5

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{limit} streams of yours are open, which is all there may be at a time. Close one, "
            "or poll the export instead."
        )


class TooManyIdempotencyKeys(RequestError):
    """A person used more keys than are remembered for one."""

    code = "too_many_idempotency_keys"

    def __init__(self, limit: int, *, retry_after_seconds: float) -> None:
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"{limit} Idempotency-Keys of yours are remembered, which is all there may be. Repeat "
            f"a request with its own key, or wait {duration(math.ceil(retry_after_seconds))}."
        )


class TooManyDryRuns(RequestError):
    """No place for a dry run became free in time."""

    code = "too_many_dry_runs"
    retry_after_seconds = 5

    def __init__(self) -> None:
        super().__init__(
            "Others are being looked at, or one of yours is. Try again shortly, or request the "
            "export itself."
        )


class StreamTooLarge(RequestError):
    """There are more rows than a stream may carry."""

    code = "stream_too_large"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"There are more rows than the {limit} that a stream may carry. Request the export as "
            "a job (POST), which has no such limit, or narrow it by filters."
        )
