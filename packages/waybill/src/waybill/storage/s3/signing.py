"""How requests and links are signed: with the hash that is known already, by storage's clock."""

from __future__ import annotations

import base64
import email.utils
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth

from waybill.log import get_logger

_CHECKSUM_HEADER = "x-amz-checksum-sha256"
_SIGNER = "waybill-s3v4"
_OFFSET, _SIGNED_AT = "waybill_clock_offset", "waybill_signed_at"
_TIMESTAMP = "%Y%m%dT%H%M%SZ"
# Answers are dated to the second and take a while; S3 bears a difference of 15 minutes in requests
# and none in the end of a link, which lives for a minute at most.
_TOLERATED = timedelta(seconds=10)
_QUICK_SECONDS = 5.0

log = get_logger(__name__)


class StorageClock:
    """How far storage's clock is ahead of ours, by the ``Date`` of its answers."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def read(
        self,
        response_dict: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Compare an answer's date with our clock (boto3's event ``response-received``)."""
        signed_at = (context or {}).get(_SIGNED_AT)
        if signed_at is None or time.monotonic() - signed_at > _QUICK_SECONDS:
            return  # dated who knows when: a commit's answer begins long before it ends
        try:
            date = email.utils.parsedate_to_datetime((response_dict or {})["headers"]["date"])
            offset = date.astimezone(UTC) - datetime.now(UTC)
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        if abs(offset) <= _TOLERATED:
            offset = timedelta()
        elif abs(offset - self.offset) <= _TOLERATED:
            return  # known already
        else:
            log.warning(
                "storage.clock_differs",
                seconds=round(offset.total_seconds()),
                remedy="set this machine's clock, or storage's; until then requests and links are "
                "dated by storage's",
            )
        self.offset = offset


def install(client: Any, clock: StorageClock) -> None:
    """Have one client of boto3's sign this way."""

    def choose(signature_version: str, context: dict[str, Any], **_: object) -> str | None:
        # Others (SigV4A, S3 Express) sign in their own way and are left alone.
        context[_OFFSET], context[_SIGNED_AT] = clock.offset, time.monotonic()
        return {"s3v4": _SIGNER, "s3v4-query": f"{_SIGNER}-query"}.get(signature_version)

    # The names are ours alone, so no other client in the process signs differently for them.
    botocore.auth.AUTH_TYPE_MAPS[_SIGNER] = _Auth
    botocore.auth.AUTH_TYPE_MAPS[f"{_SIGNER}-query"] = _QueryAuth
    client.meta.events.register("choose-signer.s3", choose)
    client.meta.events.register("response-received.s3", clock.read)


class _ByStorageClock:
    def _modify_request_before_signing(self, request: Any) -> None:
        ours = datetime.strptime(request.context["timestamp"], _TIMESTAMP).replace(tzinfo=UTC)
        offset = request.context.get(_OFFSET, timedelta())
        request.context["timestamp"] = (ours + offset).strftime(_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]


class _Auth(_ByStorageClock, botocore.auth.S3SigV4Auth):  # type: ignore[misc]
    """SigV4 that takes the payload's hash from the checksum header instead of hashing again."""

    def payload(self, request: Any) -> str:
        checksum = request.headers.get(_CHECKSUM_HEADER)
        if checksum is None:
            inherited: str = super().payload(request)
            return inherited
        return base64.b64decode(checksum).hex()


class _QueryAuth(_ByStorageClock, botocore.auth.S3SigV4QueryAuth):  # type: ignore[misc]
    """The signature of a link."""
