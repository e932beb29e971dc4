"""The root of the tree and its branches, and what belongs to none."""

from __future__ import annotations

from typing import ClassVar


class WaybillError(Exception):
    """Root of every error this package raises on purpose."""

    code = "waybill_error"


class ConfigurationError(WaybillError):
    """Settings or catalog are wrong. The text names the place and the remedy."""

    code = "configuration_error"


class UnreadableFile(WaybillError):
    """A file is none of its format, although its digest may be right."""

    code = "unreadable_file"


class RequestError(WaybillError):
    """The caller asked for something that cannot be given."""

    code = "request_error"


class RunError(WaybillError):
    """An attempt to run an export did not end in a committed object."""

    code = "run_error"


class RetryableError(RunError):
    """The cause may pass: the attempt failed, the job is tried again.

    ``patience`` multiplies the wait before that.
    """

    patience: ClassVar[float] = 1.0


class PermanentError(RunError):
    """Trying again cannot help: the job fails at once."""


class WorkerFailed(WaybillError):
    """Celery's worker ended by itself. Its own status would say that all is well."""

    code = "worker_failed"

    def __init__(self) -> None:
        super().__init__("The worker ended by itself; the lines before this one say why.")


class QueueUnavailable(WaybillError):
    """The broker did not take the message. The sweeper publishes again; nothing is lost."""

    code = "queue_unavailable"
