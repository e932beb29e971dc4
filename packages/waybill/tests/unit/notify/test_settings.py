from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from waybill.notify.events import EventType
from waybill.notify.settings import NotificationSettings
from waybill.notify.targets import SmtpSecurity

SECRET = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
WEBHOOK = {"name": "crm", "url": "https://hooks.example.com/t0ken", "secrets": [SECRET]}
MAIL = {
    "public_url": "https://exports.example.com",
    "smtp_host": "mail.example.com",
    "mail_from": "exports@example.com",
}


def _webhooks(*changes: dict[str, Any], **settings: Any) -> NotificationSettings:
    return NotificationSettings(
        public_url="https://exports.example.com",
        webhooks=[WEBHOOK | change for change in changes],
        **settings,
    )


def test_nothing_is_on_by_default() -> None:
    settings = NotificationSettings()
    assert settings.smtp_options() is None
    assert settings.webhooks == ()


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Settings(NotificationSettings, BaseSettings):
        model_config = SettingsConfigDict(env_prefix="WAYBILL_", frozen=True)

    for name, value in {
        "PUBLIC_URL": "https://exports.example.com",
        "SMTP_HOST": "mail.example.com",
        "SMTP_SECURITY": "tls",
        "MAIL_FROM": "exports@example.com",
        "MAIL_EVENTS": "export.failed, export.expiring",
        "WEBHOOKS": json.dumps([WEBHOOK | {"events": ["export.completed"]}]),
        "WEBHOOK_ALLOWED_HOSTS": "hooks.example.com,*.example.org",
        "NOTIFY_RETRY_SECONDS": "1,2.5",
    }.items():
        monkeypatch.setenv(f"WAYBILL_{name}", value)
    settings = Settings()
    smtp = settings.smtp_options()
    assert smtp is not None
    assert (smtp.host, smtp.security) == ("mail.example.com", SmtpSecurity.TLS)
    assert settings.mail_events == (EventType.FAILED, EventType.EXPIRING)
    assert settings.webhooks[0].endpoint().events == {EventType.COMPLETED}
    assert settings.webhook_allowed_hosts == ("hooks.example.com", "*.example.org")
    assert settings.retry_schedule().max_attempts == 3


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (MAIL | {"public_url": ""}, "WAYBILL_PUBLIC_URL"),
        (MAIL | {"public_url": "exports.example.com"}, "WAYBILL_PUBLIC_URL"),
        (MAIL | {"mail_from": None}, "WAYBILL_MAIL_FROM"),
        (MAIL | {"mail_from": "exports@example.com\nBcc: x@y.example"}, "name@example.com"),
        (MAIL | {"mail_from_name": "Exports\r\nBcc: x@y.example"}, "one line"),
        (MAIL | {"smtp_username": "me"}, "WAYBILL_SMTP_PASSWORD"),
        (
            MAIL | {"smtp_username": "me", "smtp_password": "p4ss", "smtp_security": "none"},
            "starttls",
        ),
        (MAIL | {"mail_events": "export.exploded"}, "export.completed"),
        (MAIL | {"notify_page": "https://elsewhere.example/"}, "/exports/{export_id}"),
        (MAIL | {"notify_page": "/{0.__class__}"}, "/exports/{export_id}"),
        (MAIL | {"notify_retry_seconds": "5,-1"}, "none negative"),
        (MAIL | {"notify_retention_days": 0.5}, "announced again"),
        ({"webhooks": [WEBHOOK]}, "WAYBILL_PUBLIC_URL"),
        ({"webhooks": "{not json"}, "give JSON like"),
        ({"webhook_ca_file": "nowhere.pem"}, "not point to a file"),
    ],
)
def test_unusable_settings_name_the_remedy(settings: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValidationError) as refused:
        NotificationSettings(**settings)
    assert remedy in str(refused.value)
    assert "p4ss" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": "http://hooks.example.com/t0ken"}, "only https"),
        ({"url": "https://127.0.0.1/t0ken"}, "private network"),
        ({"url": "https://localhost/t0ken"}, "local network"),
        ({"secrets": ["s3cret"]}, "openssl rand"),
        ({"secrets": []}, "at least 1"),
        ({"secrets": [SECRET] * 3}, "at most 2"),
        ({"events": []}, "at least 1"),
        ({"name": "../crm"}, "pattern"),
        ({"verify": False}, "not permitted"),
    ],
)
def test_unusable_webhook_is_refused_without_quoting_secrets(
    change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        _webhooks(change)
    assert reason in str(refused.value)
    for secret in ("s3cret", "t0ken", SECRET):
        assert secret not in str(refused.value)


def test_two_webhooks_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="same name"):
        _webhooks({}, {})


def test_secrets_do_not_print() -> None:
    settings = _webhooks({}, **{k: v for k, v in MAIL.items() if k != "public_url"})
    shown = repr(settings) + repr(settings.webhooks[0].endpoint()) + repr(settings.smtp_options())
    assert SECRET not in shown
    assert "t0ken" not in shown
    assert "secretsecret" not in shown


def test_mails_link_to_a_page_that_there_is() -> None:
    assert NotificationSettings().page_path is None
    assert NotificationSettings(pages=True).page_path == "/exports/{export_id}"
    own = NotificationSettings(notify_page="/files/{export_id}")
    assert own.page_path == "/files/{export_id}"
