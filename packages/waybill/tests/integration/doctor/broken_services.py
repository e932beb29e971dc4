"""Storages, mail servers and settings that are broken on purpose; see ``broken``."""

from __future__ import annotations

import contextlib
import datetime
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import trustme
from aiosmtpd.controller import Controller

from waybill.local.faults.s3_proxy import S3Proxy, answer

from .broken import Break, House, Settings, bucket, denied, doing, given
from .broken import asking as s3_asking
from .more_broken import asking

_LOCKED = (
    b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
    b"<DefaultRetention><Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule>"
    b"</ObjectLockConfiguration>"
)
_ELSEWHERE = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
_MAIL = {
    "WAYBILL_SMTP_HOST": "127.0.0.1",
    "WAYBILL_SMTP_SECURITY": "none",
    "WAYBILL_MAIL_FROM": "exports@example.com",
    "WAYBILL_PUBLIC_URL": "http://127.0.0.1:8000",
}


def s3_says(to: Any, what: bytes, status: int = 200) -> Break:
    """A storage that answers so where ``to`` is true of a request."""

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        port = urlsplit(house.stack.addresses.s3_endpoint_url).port
        assert port is not None
        say = answer(status, what, "OK")
        with S3Proxy(port) as proxy:
            proxy.fault(lambda request: say(request) if to(request) else None)
            yield {"WAYBILL_S3_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}

    return broken


def s3_by_tls(house: House) -> str:
    return house.stack.addresses.s3_endpoint_url.replace("http:", "https:")


def s3_with_a_question(house: House) -> str:
    return f"{house.stack.addresses.s3_endpoint_url}/?bucket=waybill"


def elsewhere_expiring(client: Any, name: str) -> None:
    """Rules about others' objects, and the one that is wished for."""
    rules = [
        {
            "ID": "logs",
            "Status": "Enabled",
            "Filter": {"Prefix": "logs/"},
            "Expiration": {"Days": 1},
        },
    ]
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})


class _Mail:
    """An SMTP server's handler that takes everything."""


@contextlib.contextmanager
def mail_that_wants_a_name(_house: House) -> Iterator[Settings]:
    from ..notify.conftest import free_port

    controller = Controller(
        _Mail(), hostname="127.0.0.1", port=free_port(), auth_required=True, auth_require_tls=False
    )
    controller.start()
    try:
        yield {**_MAIL, "WAYBILL_SMTP_PORT": str(controller.port)}
    finally:
        controller.stop()


@contextlib.contextmanager
def mail_with_an_old_certificate(house: House) -> Iterator[Settings]:
    from ..notify.conftest import free_port

    authority = trustme.CA()
    before = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(
        "127.0.0.1", not_before=before, not_after=before + datetime.timedelta(days=90)
    ).configure_cert(context)
    trusted = house.folder / "mail.pem"
    authority.cert_pem.write_to_path(str(trusted))
    controller = Controller(_Mail(), hostname="127.0.0.1", port=free_port(), tls_context=context)
    controller.start()
    try:
        yield {
            **_MAIL,
            "WAYBILL_SMTP_PORT": str(controller.port),
            "WAYBILL_SMTP_SECURITY": "starttls",
            "SSL_CERT_FILE": str(trusted),
        }
    finally:
        controller.stop()


SERVICES: dict[str, tuple[str, str, Break]] = {
    "storage asked by TLS that speaks none": (
        "storage.bucket", "error", asking(s3_by_tls, "WAYBILL_S3_ENDPOINT_URL"),
    ),
    "bucket of another region": (
        "storage.put", "error", s3_says(doing("put"), _ELSEWHERE, status=400),
    ),
    "bucket that denies completing": ("storage.complete", "error", denied(doing("complete"))),
    "bucket that locks what is written": (
        "storage.object_lock", "error", s3_says(s3_asking("GET", "object-lock"), _LOCKED),
    ),
    "bucket without a rule for unfinished uploads": (
        "storage.lifecycle", "note", bucket(elsewhere_expiring),
    ),
    "mail server that wants a name": ("mail.server", "error", mail_that_wants_a_name),
    "mail server whose certificate has expired": (
        "mail.server", "error", mail_with_an_old_certificate,
    ),
    "address of the storage with a question": (
        "settings.s3_address", "error", asking(s3_with_a_question, "WAYBILL_S3_ENDPOINT_URL"),
    ),
    "address of the service without TLS": (
        "settings.public_url_scheme", "warning", given(PUBLIC_URL="http://exports.example.com"),
    ),
    "key that is forgotten before the last attempt": (
        "settings.idempotency", "warning",
        given(IDEMPOTENCY_HOURS="1", RETRY_BACKOFF_SECONDS="3600"),
    ),
    "lost messages that alert before they are mended": (
        "settings.republish", "warning", given(REPUBLISH_AFTER_SECONDS="600"),
    ),
}  # fmt: skip
