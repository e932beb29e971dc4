from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from waybill.notify.webhook.signing import signed_headers, signing_key

KEYS = st.binary(min_size=24, max_size=64)


def _secret(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


@given(key=KEYS, text=st.text())
def test_signature_is_verified_by_the_standard_library(key: bytes, text: str) -> None:
    body = text.encode("utf-8", "surrogatepass") if text.isascii() else text.encode()
    headers = signed_headers(
        [signing_key(_secret(key))], message_id="evt_1", timestamp=int(time.time()), body=body
    )
    Webhook(_secret(key)).verify(body, headers, json_parse=False)


@given(old=KEYS, new=KEYS)
def test_both_secrets_verify_while_rotating(old: bytes, new: bytes) -> None:
    headers = signed_headers([new, old], message_id="e", timestamp=int(time.time()), body=b"{}")
    assert len(headers["webhook-signature"].split(" ")) == 2
    for key in (old, new):
        assert Webhook(_secret(key)).verify(b"{}", headers) == {}


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_changed_message_is_not_verified(changed: str) -> None:
    key = b"k" * 24
    now = int(time.time())
    headers = signed_headers([key], message_id="evt_1", timestamp=now, body=b'{"a":1}')
    body = b'{"a":2}' if changed == "body" else b'{"a":1}'
    if changed == "webhook-id":
        headers["webhook-id"] = "evt_2"
    if changed == "webhook-timestamp":
        headers["webhook-timestamp"] = str(now + 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(_secret(key)).verify(body, headers)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "hunter2",
        "whsec_hunter2",
        base64.b64encode(b"k" * 32).decode(),
        _secret(b"k" * 23),
        _secret(b"k" * 65),
        _secret(b"k" * 32) + "\n",
        "whsec_" + "ü" * 40,
    ],
)
def test_unusable_secret_is_refused_without_quoting_it(secret: str) -> None:
    with pytest.raises(ValueError, match="openssl rand") as refused:
        signing_key(secret)
    assert len(secret) < 8 or secret.removeprefix("whsec_") not in str(refused.value)
    assert refused.value.__cause__ is None
