"""The settings of notifications: a part of ``waybill.config.Settings``, which inherits them."""

from __future__ import annotations

import json
from email.headerregistry import Address
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from waybill.notify.email.address import parse_address
from waybill.notify.errors import TargetForbidden
from waybill.notify.events import EventType
from waybill.notify.retry import RETRY_JITTER, RETRY_SECONDS, RetrySchedule
from waybill.notify.targets import SmtpOptions, SmtpSecurity, WebhookEndpoint
from waybill.notify.webhook.egress import EgressPolicy
from waybill.notify.webhook.signing import signing_key

_MAX_SECRETS = 2
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class WebhookSettings(BaseModel):
    """One receiver. ``secrets``: the current one first, and the previous one while rotating."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    url: SecretStr
    secrets: Annotated[tuple[SecretStr, ...], Field(min_length=1, max_length=_MAX_SECRETS)]
    events: Annotated[tuple[EventType, ...], Field(min_length=1)] = tuple(EventType)

    @field_validator("secrets")
    @classmethod
    def _check_secrets(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            signing_key(secret.get_secret_value())
        return secrets

    def endpoint(self) -> WebhookEndpoint:
        return WebhookEndpoint(
            name=self.name,
            url=self.url.get_secret_value(),
            keys=tuple(signing_key(secret.get_secret_value()) for secret in self.secrets),
            events=frozenset(self.events),
        )


class NotificationSettings(BaseModel):
    """E-mail is on when ``smtp_host`` is set, webhooks when any are declared."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    public_url: str = ""
    """The address clients see, used in links. The API takes it from the request when it is empty;
    notifications have no request, so they need it set."""
    pages: bool = False
    """Whether the pages for people are served beside the API: requests, progress, history, and the
    queue for administrators. Mails link to them then."""
    notify_page: str | None = None
    """The page a mail links to, below ``public_url``: one of your own, like
    ``/exports/{export_id}``, that asks for signing in. When unset, waybill's own page with
    ``pages``, and otherwise none: mails say in words how to get the file."""

    # -- e-mail -----------------------------------------------------------------------------------
    smtp_host: str | None = None
    """The mail server; e-mail is off while it is unset."""
    smtp_port: int | None = Field(None, ge=1, le=65535)
    """587 with ``starttls``, 465 with ``tls`` and 25 with ``none`` when unset."""
    smtp_security: SmtpSecurity = SmtpSecurity.STARTTLS
    """`starttls`, `tls` or `none`."""
    smtp_username: str | None = None
    """For servers that want a login."""
    smtp_password: SecretStr | None = None
    """Goes with the username."""
    smtp_timeout_seconds: float = Field(30.0, gt=0, le=30)
    """Bounds one delivery."""
    mail_from: str | None = None
    """The sender address."""
    mail_from_name: str = "Exports"
    """The sender name."""
    mail_events: Annotated[tuple[EventType, ...], NoDecode] = (
        EventType.COMPLETED,
        EventType.FAILED,
        EventType.EXPIRING,
    )
    """What people are told by e-mail."""

    # -- webhooks ---------------------------------------------------------------------------------
    webhooks: Annotated[tuple[WebhookSettings, ...], NoDecode] = ()
    """JSON: ``[{"name": …, "url": …, "secrets": ["whsec_…"], "events": ["export.completed"]}]``"""
    webhook_timeout_seconds: float = Field(20.0, gt=0, le=30)
    """Bounds one delivery."""
    webhook_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """When set, only these hosts: ``hooks.example.com,*.example.org``."""
    webhook_ca_file: FilePath | None = None
    """Certificates to trust instead of the public ones."""
    webhook_allow_http: bool = False
    """For development: http:// receivers too."""
    webhook_allow_private_networks: bool = False
    """For development, or receivers inside one's own network."""

    # -- your own ---------------------------------------------------------------------------------
    channels: str | None = None
    """Notification channels of your own: an import string ``package.module:channels`` of one, of a
    list of them, or of a function that returns either."""

    # -- delivery ---------------------------------------------------------------------------------
    notify_seconds: float = Field(1.0, gt=0)
    """How often due notifications are looked for."""
    notify_retry_seconds: Annotated[tuple[float, ...], NoDecode] = RETRY_SECONDS
    """The waits between deliveries of one notification (Standard Webhooks)."""
    notify_retry_jitter: float = Field(RETRY_JITTER, ge=0, lt=1)
    """By which share a wait varies at random."""
    notify_expiring_hours: float = Field(24.0, gt=0)
    """How long before its end a file is announced as expiring."""
    notify_retention_days: float = Field(30.0, gt=0)
    """How long delivered notifications are kept."""

    @field_validator("mail_events", "webhook_allowed_hosts", "notify_retry_seconds", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("webhooks", mode="before")
    @classmethod
    def _decode(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value or "[]")
        except ValueError:
            # Not chained: the decoder's error holds the text, and the text holds secrets.
            raise ValueError(
                'give JSON like [{"name": "crm", "url": "https://…", "secrets": ["whsec_…"]}]'
            ) from None

    @field_validator("notify_retry_seconds")
    @classmethod
    def _check_schedule(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(seconds < 0 for seconds in value):
            raise ValueError("give numbers of seconds, none negative, like 5,300,1800")
        return value

    @field_validator("notify_page")
    @classmethod
    def _check_page(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith("/") or value.replace("{export_id}", "", 1).count("{"):
            raise ValueError("give a path like /exports/{export_id}")
        return value

    @model_validator(mode="after")
    def _check_notifications(self) -> Self:
        if not self.smtp_host and not self.webhooks:
            return self
        if urlsplit(self.public_url).scheme not in {"http", "https"}:
            raise ValueError(
                "notifications link to this service: set WAYBILL_PUBLIC_URL to the address that "
                "clients see, like https://exports.example.com"
            )
        if self.notify_retention_days * 24 < self.notify_expiring_hours:
            raise ValueError(
                "notify_retention_days must cover notify_expiring_hours, or a file's expiry "
                "would be announced again"
            )
        self._check_mail()
        self._check_webhooks()
        return self

    def _check_mail(self) -> None:
        if not self.smtp_host:
            return
        if self.mail_from is None:
            raise ValueError("WAYBILL_SMTP_HOST needs WAYBILL_MAIL_FROM, the sender's address")
        parse_address(self.mail_from)
        if not self.mail_from_name.isprintable():
            raise ValueError("WAYBILL_MAIL_FROM_NAME must be one line of printable text")
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("set both WAYBILL_SMTP_USERNAME and WAYBILL_SMTP_PASSWORD, or none")
        plain = self.smtp_security is SmtpSecurity.NONE
        if plain and self.smtp_username is not None and self.smtp_host not in _LOOPBACK:
            raise ValueError(
                "WAYBILL_SMTP_SECURITY=none would send the password in the clear: use starttls"
            )

    def _check_webhooks(self) -> None:
        names = [webhook.name for webhook in self.webhooks]
        if len(set(names)) != len(names):
            raise ValueError("two webhooks have the same name; names are how deliveries find them")
        policy = self.egress_policy()
        for webhook in self.webhooks:
            try:
                policy.parse(webhook.url.get_secret_value())
            except TargetForbidden as exc:
                raise ValueError(f"the URL of webhook {webhook.name!r}: {exc.reason}") from exc

    # -- what the parts are built from ------------------------------------------------------------

    @property
    def page_path(self) -> str | None:
        """The page that mails link to; ``None`` when there is none."""
        return self.notify_page or ("/exports/{export_id}" if self.pages else None)

    def egress_policy(self) -> EgressPolicy:
        """Return where webhooks may go."""
        return EgressPolicy(
            allow_http=self.webhook_allow_http,
            allow_private_networks=self.webhook_allow_private_networks,
            allowed_hosts=self.webhook_allowed_hosts,
        )

    def smtp_options(self) -> SmtpOptions | None:
        """Return how to reach the mail server; ``None`` without one."""
        if not self.smtp_host or self.mail_from is None:
            return None
        sender = Address(self.mail_from_name, addr_spec=parse_address(self.mail_from))
        return SmtpOptions(
            host=self.smtp_host,
            sender=sender,
            port=self.smtp_port,
            security=self.smtp_security,
            username=self.smtp_username,
            password=self.smtp_password.get_secret_value() if self.smtp_password else None,
            timeout_seconds=self.smtp_timeout_seconds,
        )

    def retry_schedule(self) -> RetrySchedule:
        """Return when failed deliveries are tried again."""
        return RetrySchedule(self.notify_retry_seconds, self.notify_retry_jitter)
