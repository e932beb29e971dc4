"""Signatures of Standard Webhooks 1.0 (symmetric, ``v1``): github.com/standard-webhooks.

A receiver verifies with any of that project's libraries and the same ``whsec_…`` secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"
# The specification's bounds: at least 192 and at most 512 bits.
_MIN_BYTES, _MAX_BYTES = 24, 64


def signing_key(secret: str) -> bytes:
    """Return the key inside a ``whsec_…`` secret.

    Raises:
        ValueError: not such a secret; the text never quotes it.
    """
    remedy = (
        f"a webhook secret is {_PREFIX!r} and the base64 of {_MIN_BYTES} to {_MAX_BYTES} random "
        "bytes; make one with: echo whsec_$(openssl rand -base64 32)"
    )
    if not secret.startswith(_PREFIX):
        raise ValueError(remedy)
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        # Not chained: the decoder's own message may quote the secret.
        raise ValueError(remedy) from None
    if not _MIN_BYTES <= len(key) <= _MAX_BYTES:
        raise ValueError(remedy)
    return key


def signed_headers(
    keys: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """Return the three headers; one signature per key, so that secrets can be rotated.

    Args:
        timestamp: seconds since the epoch, of this attempt.
    """
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signatures = (
        base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
