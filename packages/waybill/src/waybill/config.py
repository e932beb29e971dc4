"""Settings: read from the environment (``WAYBILL_…``) or a ``.env`` file, validated at start.

Every number that the decision records promise stands here, once, with its unit in its name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from waybill.errors import ConfigurationError
from waybill.notify.settings import NotificationSettings
from waybill.own_database import SCHEMA, check_schema, read_dsn, schema_of

RETRY_ATTEMPTS = 3
RETRY_BACKOFF_SECONDS = (1.0, 2.0, 4.0)
RESULT_TTL_DAYS = 7
DEADLINE_SECONDS = 60.0
PROGRESS_ROWS = 1_000
MAX_ROW_BYTES = 64 * 1024 * 1024
QUOTA_PER_DAY = 5

_LEASE_RENEWALS_PER_LEASE = 3
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_SECONDS_IN = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
"""By the unit that a setting's name ends with."""
_LONGEST_SECONDS = 100 * 365 * 86_400


# As browsers write them: without the port that the scheme has by itself.
_ORIGIN = re.compile(
    r"(?!http:.*:80$|https:.*:443$)https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?"
)


_NAMED_DSN = "WAYBILL_SOURCE_DSN_"


def is_named_dsn(variable: str) -> bool:
    """Whether a variable holds the address of a source that the catalog declares by name."""
    return variable.startswith(_NAMED_DSN) and variable != _NAMED_DSN


class _NamedDsns(PydanticBaseSettingsSource):
    """Reads ``WAYBILL_SOURCE_DSN_NAME`` of every name there is: which there may be says the
    catalog, and whoever reads it."""

    def __init__(
        self, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        self._sources = sources

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, str] = {}
        for source in self._sources:  # the first one's word counts
            variables = source.env_vars if isinstance(source, EnvSettingsSource) else {}
            for variable, dsn in variables.items():
                if dsn and is_named_dsn(variable.upper()):
                    found.setdefault(variable.upper().removeprefix(_NAMED_DSN).lower(), dsn)
        return {"source_dsns": found} if found else {}


class Settings(NotificationSettings, BaseSettings):
    """All settings of all processes. Secrets are ``SecretStr``: they do not print."""

    model_config = SettingsConfigDict(
        env_prefix="WAYBILL_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        # An infinite time is none that a database or a timer could keep.
        allow_inf_nan=False,
        # The docstrings below the fields are what `waybill settings` and the documentation say.
        use_attribute_docstrings=True,
    )

    # -- where things are ---------------------------------------------------------------------
    database_url: SecretStr
    """waybill's own PostgreSQL (``postgresql://…``): jobs, attempts, audit. A pooler in front of it
    may lend connections per transaction; several hosts are ``a:5432,b:5432``, with
    ``?target_session_attrs=read-write``; ``?options=`` is heeded."""
    database_direct_url: SecretStr | None = None
    """The same database without a pooler that lends connections per transaction, which swallows
    notifications. Without it, watched exports are read every second behind such a pooler."""
    database_schema: str | None = None
    """The schema that all of waybill's own tables lie in, so that it can share a database;
    ``waybill`` when unset, or what a ``search_path`` of the URL's own begins with.
    ``waybill migrate`` makes it, and moves what an earlier version made elsewhere."""
    source_dsn: SecretStr | None = None
    """The PostgreSQL to export from; waybill's own database when unset. Use a read-only role."""
    source_dsns: dict[str, SecretStr] = {}
    """The same for another that the catalog declares as ``[sources.NAME]``, its name in capitals:
    ``WAYBILL_SOURCE_DSN_REPORTING``."""
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """The broker: ``redis://name:password@host:6379/0``, ``rediss://`` for TLS (its certificate is
    verified; ``?ssl_ca_certs=`` names another authority), or ``sentinel://host:26379,host:26379/0``,
    and ``sentinels://`` for TLS. No Redis Cluster. It holds ids, and may lose them; services share
    it without noticing."""
    redis_master_name: str | None = None
    """How the Sentinels of ``sentinel://`` call the master (``mymaster``)."""
    redis_sentinel_username: str | None = None
    """Who we are to the Sentinels, where they have users of their own (ACL)."""
    redis_sentinel_password: SecretStr | None = None
    """The password of the Sentinels, where they ask for one: that of the address is the
    master's."""
    s3_endpoint_url: HttpUrl | None = None
    """Unset for AWS itself."""
    s3_region: str = "us-east-1"
    """The region that requests are signed for."""
    s3_bucket: str = "waybill"
    """The bucket that results go to; it must exist."""
    s3_access_key_id: SecretStr | None = None
    """Unset to use boto3's own credential chain (instance role, profile)."""
    s3_secret_access_key: SecretStr | None = None
    """Goes with the access key."""
    s3_addressing: Literal["auto", "path", "virtual"] | None = None
    """Where the bucket's name stands: in the path (``path``, what most compatible servers take and
    the default with an endpoint of its own) or in the host's name (``virtual``)."""
    s3_public_endpoint_url: HttpUrl | None = None
    """Where clients reach the storage by the links they are given, if it is not where we do."""
    s3_encryption: Literal["AES256", "aws:kms"] | None = None
    """The encryption to ask for with each object, where a bucket's policy demands that it is."""
    s3_kms_key_id: str | None = None
    """The key of ``aws:kms``; the bucket's own when unset."""
    s3_checksums: Literal["auto", "always", "never"] = "auto"
    """Whether SHA-256 goes along as ``x-amz-checksum-sha256`` for storage to compare: until it says
    that it does not know that (``auto``), ``always`` or ``never``. Without, parts are proven by
    their ETags, or by reading the file back."""
    s3_acl: (
        Literal[
            "private",
            "bucket-owner-full-control",
            "bucket-owner-read",
            "authenticated-read",
            "aws-exec-read",
        ]
        | None
    ) = None
    """The canned ACL of each object, where a bucket of another account demands one."""
    s3_tags: dict[str, str] = {}
    """Tags of each object as JSON, for the bucket's own rules: ``{"tenant": "{tenant}"}``. Values
    may say ``{tenant}`` and ``{export_type}``; takes the right s3:PutObjectTagging."""
    s3_client: Any = None
    """An import string ``package.module:attribute`` of the application's boto3 session, or of a
    function that takes what ``boto3.client`` takes."""
    s3_prefix: str = "exports"
    """Where keys begin: nothing outside it is ever listed or deleted."""
    object_key: str | Callable[..., Any] | None = None
    """A function that names the folder below the prefix where an export's file is to lie: an import
    string ``package.module:function``. It takes one ``waybill.NewExport``, at the request."""
    storage: str = "s3"
    """Where files are written to: ``s3`` (or what speaks its protocol), or ``directory``."""
    storage_directory: Path | None = None
    """The directory of ``directory``: it must exist, and API and workers share it."""
    former_storages: tuple[str, ...] = ()
    """Storages that files were written to before, as JSON (``["s3"]``): still served and cleaned
    up."""
    catalog: str = "waybill.toml"
    """A path to a TOML catalog, or an import string ``package.module:catalog``."""
    hooks: str | None = None
    """Functions to be called when exports end: an import string ``package.module:hooks`` of a
    ``waybill.Hooks``, or of a function that returns one."""
    audit_sink: str | Callable[..., Any] | None = None
    """A function to be called with each audit event after its commit: an import string
    ``package.module:function``. It takes one ``waybill.AuditEvent``."""

    # -- the API ------------------------------------------------------------------------------
    development_token: SecretStr | None = None
    """A bearer token that stands for one local person with every right. Never in production."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ("*",)
    """Names that requests may be addressed to (``export.example.com,*.internal``); ``*`` takes all.
    Others are answered with 421."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses and networks of proxies (``10.0.0.0/8,192.0.2.7``) whose ``X-Forwarded-For``,
    ``X-Forwarded-Proto`` and ``X-Forwarded-Prefix`` are believed; nobody's by default."""
    docs: bool = False
    """Whether ``/docs``, a page to try the API out, is served. ``/openapi.json`` always is."""
    sign_in_url: HttpUrl | None = None
    """Where your application signs people in: the pages lead there, with ``?next=`` and the page
    that was wanted, for the portal link to name."""
    portal_link_seconds: float = Field(300.0, gt=0, le=86_400)
    """How long a portal link may wait for the person it signs in; it opens the pages once."""
    session_hours: float = Field(8.0, gt=0, le=720)
    """How long a session of the pages lasts, whatever is done in it."""
    session_idle_minutes: float = Field(60.0, gt=0)
    """How long it lasts when nothing is done in it."""
    element_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of pages (``https://app.example.com``) that may call the API from a browser, with a
    token of their own, where ``pages`` are served; no others may."""
    max_body_bytes: int = Field(64 * 1024, ge=1024)
    """A longer request is refused with 413."""
    head_seconds: float = Field(10.0, gt=0)
    """How long a request's head may take, from the connection or its first byte to its end."""
    body_seconds: float = Field(10.0, gt=0)
    """How long a request's body may take; a slower one is answered with 408."""
    keep_alive_seconds: int = Field(75, ge=1)
    """How long a connection may stay idle between two requests: longer than a proxy in front keeps
    it (nginx: 60 s), which otherwise sends a request into a connection that is being closed."""
    max_connections: int = Field(10_000, ge=10)
    """How many connections one API process holds; further ones are closed."""
    max_connections_per_address: int = Field(1_000, ge=1)
    """How many of them one IPv4 address or IPv6 /64 may hold; trusted proxies are not counted."""
    address_requests_per_second: float = Field(100.0, gt=0)
    """How fast one IPv4 address or IPv6 /64 may ask, whoever asks from there, per API process."""
    address_requests_burst: int = Field(1_000, ge=1)
    """How many of them may come at once."""
    presign_seconds: int = Field(60, ge=1, le=60)
    """How long a link to the file lives; every click mints its own."""
    download: Annotated[str, Field(pattern="^(redirect|stream)$")] = "redirect"
    """``redirect`` sends the client to a presigned link; ``stream`` passes the bytes through."""
    max_downloads: int | None = Field(None, ge=1)
    """How often a file may be downloaded; unset means as often as wanted."""
    download_window_seconds: float = Field(3600.0, gt=0)
    """A person's requests for one file within this time are one download: resuming and parallel
    ranges count once."""
    max_watchers: int = Field(5_000, ge=1)
    """How many event streams one API process holds; beyond it clients are told to poll."""
    max_watchers_per_person: int = Field(50, ge=1)
    """How many of them one person may hold."""
    max_watchers_per_address: int = Field(1_000, ge=1)
    """How many of them may come from one IPv4 address or IPv6 /64."""
    event_heartbeat_seconds: float = Field(15.0, gt=0)
    """A comment is sent when nothing else was for this long: proxies cut silent connections, many
    of them after 60 s."""
    event_stream_seconds: float = Field(900.0, gt=0)
    """An event stream ends after this long; the client comes back with its credentials of then."""

    # -- what people may ask for, and how often -------------------------------------------------
    quota_per_day: Annotated[int, Field(ge=1)] | Literal["unlimited"] = QUOTA_PER_DAY
    """Exports a person may request in any 24 hours (ADR-0007)."""
    quota_refunds_per_day: int = Field(5, ge=0)
    """How many of them are given back in 24 hours: those that our side broke, and those cancelled
    before anybody had begun them. All others count, however they end."""
    quota_roles: dict[str, Annotated[int, Field(ge=1)] | Literal["unlimited"]] = {}
    """Quotas of roles, as JSON: ``{"analyst": 50, "batch": "unlimited"}``. They only raise."""
    idempotency_hours: float = Field(24.0, gt=0)
    """How long the answer to an ``Idempotency-Key`` is kept."""
    max_idempotency_keys: int = Field(1_000, ge=1)
    """How many keys of one person are remembered at a time; a new one beyond it is refused."""
    require_idempotency_key: bool = False
    """Whether a request without an ``Idempotency-Key`` is refused."""
    preview_timeout_seconds: float = Field(10.0, gt=0)
    """How long a dry run may ask the source."""
    dry_runs_per_day: Annotated[int, Field(ge=1)] | Literal["unlimited"] = 100
    """Dry runs a person may have in any 24 hours, and streams that they give up before the first
    byte."""
    dry_run_rows_per_day: Annotated[int, Field(ge=1)] | Literal["unlimited"] = 50_000
    """How many rows a person's dry runs may read in any 24 hours; one reads 1,005 at most."""
    max_dry_runs: int = Field(2, ge=1)
    """How many dry runs one API process does at a time, one for each person: each holds a
    connection to the source."""
    dry_run_wait_seconds: float = Field(5.0, gt=0)
    """How long a dry run waits for its turn; then it is refused with 503."""
    requests_per_second: float = Field(10.0, gt=0)
    """How fast a person may poll, and how fast they may request, per API process."""
    requests_burst: int = Field(100, ge=1)
    """How many of either may come at once: the quick first polls of small exports are welcome."""

    max_streams_per_person: int = Field(2, ge=1)
    """How many exports one person may have streamed at a time by one API process."""
    max_streams: int = Field(4, ge=1)
    """How many exports one API process streams at a time; beyond it clients are told to wait."""
    stream_max_rows: int = Field(1_000_000, ge=1)
    """The largest export that is streamed; larger ones are for jobs."""
    stream_seconds: float = Field(300.0, gt=0)
    """How long one stream may take: a slow reader holds a snapshot of the source open."""

    # -- a job's life (the promises of ADR-0001) ------------------------------------------------
    max_attempts: int = Field(RETRY_ATTEMPTS, ge=1, le=20)
    """How often an export is tried before it becomes a dead letter."""
    retry_backoff_seconds: Annotated[tuple[float, ...], NoDecode] = RETRY_BACKOFF_SECONDS
    """The waits between attempts; the last one is repeated."""
    deadline_seconds: float = Field(DEADLINE_SECONDS, gt=0)
    """Bounds one attempt unless its export type says otherwise."""
    result_ttl_days: float = Field(RESULT_TTL_DAYS, gt=0)
    """How long a file can be fetched."""
    lease_seconds: float = Field(60.0, gt=0)
    """How long a worker owns a job without a word; a lost worker is replaced after it."""
    heartbeat_seconds: float = Field(15.0, gt=0)
    """How often a worker renews its lease while nothing moves."""
    progress_seconds: float = Field(0.5, gt=0)
    """How often progress is written to the job's row while it moves."""

    # -- the sweeper --------------------------------------------------------------------------
    sweep_seconds: float = Field(1.0, gt=0)
    """Retries wait 1, 2 and 4 s, so due rows are looked for every second (an indexed query)."""
    republish_after_seconds: float = Field(15.0, gt=0)
    """How long a due job waits for an answer to its message before it is announced again."""
    stale_upload_hours: float = Field(24.0, gt=0)
    """An upload without a job is aborted after this long."""
    storage_sweep_seconds: float = Field(600.0, gt=0)
    """How long to rest between two searches of storage for objects that no job refers to."""
    download_grace_seconds: float = Field(3600.0, ge=60)
    """How long an expired file outlives its last link (60 s), for downloads under way."""
    orphan_grace_seconds: float | None = Field(None, ge=0)
    """How long an object that no job refers to is left alone; unset means the download grace. After
    a failover of waybill's database a person may hold a link to a file the database forgot."""
    job_retention_days: float = Field(90.0, ge=1)
    """How long the rows of jobs that are over are kept, counted from their last change; a day at
    least, which is what quotas count."""
    replay_days: float = Field(30.0, gt=0)
    """How long a failed export can be replayed that filters rows or has ``since``; then the values
    that it compares with are forgotten. Of other exports they are as soon as there is no file."""
    audit_retention_days: float = Field(400.0, ge=30)
    """How long events of the audit trail are kept; the database deletes none younger than 30."""
    monitor_seconds: float = Field(30.0, gt=0)
    """How often the monitor looks for jobs that are stuck."""
    stuck_queued_seconds: float = Field(300.0, gt=0)
    """A job that waits longer than this for a worker is an alert (too few workers, or none)."""
    stuck_running_seconds: float = Field(60.0, gt=0)
    """A lease that is over for longer than this is an alert (no scheduler frees it)."""

    # -- whose turn it is ----------------------------------------------------------------------
    max_running_per_tenant: int | None = Field(None, ge=1)
    """How many jobs of one tenant run at a time; as many as there are workers when unset."""
    max_running_per_person: int | None = Field(None, ge=1)
    """How many jobs of one person run at a time; as many as there are workers when unset."""

    # -- the worker ---------------------------------------------------------------------------
    worker_concurrency: int = Field(2, ge=1)
    """How many exports one worker runs at a time, each in a process of its own."""
    small_jobs_together: int = Field(4, ge=1, le=16)
    """How many exports of at most 10,000 rows a worker's process runs side by side while others are
    due: one waits for the network while another goes on. Parquet, XLSX and whatever was tried
    before run alone. 1: each does."""
    shutdown_grace_seconds: float = Field(10.0, ge=0)
    """How long a worker that is told to stop lets an export run before it gives it back."""
    source_readers: int | None = Field(None, ge=1, le=16)
    """How many connections read one large table (200,000 rows or more); unset means one per
    processor, at most 4, and half as many for uncompressed files where PostgreSQL runs on the same
    machine; Parquet and XLSX, which keep a processor busy in the worker, are read by one less. 1
    reads everything on one connection. Two more are used to keep the snapshot and to find where
    ranges end."""
    source_rest_seconds: float = Field(30.0, ge=0, le=300)
    """How old a worker process's connection to the source may get that rests between small exports
    instead of being made anew: so long a changed password or address goes unnoticed. 0 makes a new
    one for each."""
    max_row_bytes: int = Field(MAX_ROW_BYTES, ge=64 * 1024, le=1024 * 1024 * 1024)
    """The largest row, all its columns together as PostgreSQL prints them; an export with a larger
    one fails. Memory follows it: up to 4 times as much for the text formats, and 12 times for
    Parquet and XLSX."""
    part_bytes: int = Field(8 * 1024 * 1024, ge=5 * 1024 * 1024)
    """S3 accepts no part but the last below 5 MiB."""

    checkpoint_seconds: float = Field(1.0, ge=0)
    """How often a resumable export writes down which parts are stored: a look into the key's index,
    and a small transaction."""

    # -- the database as storage while S3 is away -----------------------------------------------
    fallback_max_bytes: int = Field(256 * 1024 * 1024, ge=0)
    """The largest file kept in waybill's database; 0 keeps none, so that a job fails instead."""
    fallback_total_bytes: int = Field(2 * 1024 * 1024 * 1024, ge=0)
    """All such files together: an outage of S3 must not fill the database's disk as well."""

    # -- figures for Prometheus ------------------------------------------------------------------
    metrics_port: int | None = Field(None, ge=0, le=65_535)
    """Where a process serves its figures, at ``/metrics``; unset: nowhere, 0: on a free port. Each
    process needs one of its own (``--metrics-port``)."""
    metrics_host: str = "127.0.0.1"
    """The address of that port. Whoever reaches it reads how much a service is used, without a
    token: let Prometheus alone."""

    traces_endpoint: HttpUrl | None = None
    """Where a collector takes spans by OTLP over HTTP (``http://collector:4318/v1/traces``); unset:
    no tracing. Takes ``pip install 'waybill[tracing]'``; the SDK's own ``OTEL_…`` apply."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR; libraries say nothing below INFO."""
    clock_offset_seconds: float = 0.0
    """Moves waybill's idea of today, to rehearse expiry. 0 in production."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        named = _NamedDsns(settings_cls, env_settings, dotenv_settings)
        return init_settings, env_settings, dotenv_settings, named, file_secret_settings

    @field_validator("allowed_hosts", "trusted_proxies", "element_origins", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, value: str) -> str:
        if value.upper() not in _LOG_LEVELS:
            raise ValueError(f"give one of {', '.join(_LOG_LEVELS)}")
        return value.upper()

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("give at least one name, or * for all: without one nobody is answered")
        for each in value:
            if re.search(r"[/@?#\s]", each):
                raise ValueError(
                    "give names alone, like export.example.com, without https:// and paths"
                )
        return value

    @field_validator("s3_prefix")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        if {".", ".."} & set(value.split("/")) or not value.isprintable() or "\\" in value:
            raise ValueError("give a folder like exports or team/exports, without . and ..")
        return value

    @field_validator("database_schema")
    @classmethod
    def _check_schema(cls, value: str | None) -> str | None:
        return None if value is None else check_schema(value)

    @field_validator("element_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _ORIGIN.fullmatch(each):
                raise ValueError(
                    "give origins as browsers send them, like https://app.example.com: in small "
                    "letters, without a path, a default port or an asterisk"
                )
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ipaddress.ip_network(each)  # its ValueError says what is wrong
        return value

    @field_validator("retry_backoff_seconds", mode="before")
    @classmethod
    def _split_backoff(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @field_validator("retry_backoff_seconds")
    @classmethod
    def _check_backoff(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(seconds < 0 for seconds in value):
            raise ValueError("give at least one number of seconds, none negative, like 1,2,4")
        return value

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        for name in type(self).model_fields:
            seconds = _SECONDS_IN.get(name.rpartition("_")[2])
            value = getattr(self, name)
            if seconds and isinstance(value, int | float) and value * seconds > _LONGEST_SECONDS:
                raise ValueError(f"{name} is more than 100 years, which no database counts")
        return self

    @model_validator(mode="after")
    def _check_lease(self) -> Self:
        if self.heartbeat_seconds * _LEASE_RENEWALS_PER_LEASE > self.lease_seconds:
            raise ValueError(
                "heartbeat_seconds must fit three times into lease_seconds, "
                "so that one lost heartbeat does not lose the lease"
            )
        return self

    @property
    def database_dsn(self) -> str:
        """``database_url`` as libpq reads it."""
        return read_dsn(self.database_url.get_secret_value())

    @property
    def own_schema(self) -> str:
        """Where our tables lie."""
        return self.database_schema or schema_of(self.database_dsn) or SCHEMA

    @cached_property
    def notification_dsn(self) -> str:
        """Where the database's notifications are heard."""
        return read_dsn((self.database_direct_url or self.database_url).get_secret_value())

    @cached_property
    def source_url(self) -> str:
        """The DSN to export from."""
        return (self.source_dsn or self.database_url).get_secret_value()


def load_settings(**overrides: object) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: something is missing or malformed; names each variable and remedy.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as exc:
        lines = []
        for error in exc.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in error["loc"])
            variable = f"WAYBILL_{name.upper()}" if name else "settings"
            lines.append(f"{variable}: {error['msg'].removeprefix('Value error, ')}")
        raise ConfigurationError(
            f"The settings do not hold: {'; '.join(lines)}. Set them in the environment or in "
            ".env; `waybill local` needs none of them."
        ) from exc
