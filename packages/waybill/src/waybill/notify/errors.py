"""Why a delivery did not succeed. The dispatcher alone decides what follows.

The ``code`` is stored and shown; the message is for the log of the process that saw it, and
quotes neither a body, a secret, an address of a person nor the path of a URL.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from waybill.errors import WaybillError


class DeliveryError(WaybillError):
    """Root: one attempt to deliver one notification failed."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class DeliveryFailed(DeliveryError):
    """The cause may pass: tried again, after ``retry_after_seconds`` if the receiver asks for
    more than the schedule would wait."""

    def __init__(
        self, code: str, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(code, message)


class TargetForbidden(DeliveryFailed):
    """The egress policy does not let us connect there. Retried, because what a name resolves to
    can be mended; nothing was connected and nothing was sent."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__("target_forbidden", f"The webhook's target is refused: {reason}.")


class DeliveryRefused(DeliveryError):
    """Trying again cannot help: the notification is dead at once."""


class EndpointGone(DeliveryError):
    """The receiver answered 410 Gone: it gets no more messages until its URL changes."""

    def __init__(self, endpoint: str, fingerprint: str) -> None:
        self.endpoint = endpoint
        self.fingerprint = fingerprint
        super().__init__("endpoint_gone", f"Webhook endpoint {endpoint!r} answered 410 Gone.")


class EndpointNotDisabled(WaybillError):
    """An endpoint should be enabled that is."""

    def __init__(self, name: str, disabled: Sequence[str]) -> None:
        self.name = name
        self.disabled = tuple(disabled)
        known = f"Those that are: {', '.join(disabled)}." if disabled else "None is."
        super().__init__(f"There is no disabled endpoint {name!r}. {known}")


def is_tls_failure(exc: BaseException | None) -> bool:
    """Return whether a TLS error is at the root of ``exc``: libraries wrap it several times."""
    while exc is not None:
        if isinstance(exc, ssl.SSLError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False
