"""Settings that hold one by one, and not together."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from waybill.config import Settings
from waybill.doctor.findings import Finding, Patient, Report
from waybill.jobs.celery_app import SOFT_SHUTDOWN_SECONDS, VISIBILITY_TIMEOUT_SECONDS

AREA: Final = "settings"
_LINK_SECONDS: Final = 60
_DAY_HOURS: Final = 24

_report = Report(AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Hold the settings against each other."""
    found = [finding for rule in RULES for finding in rule(patient)]
    yield from found
    if not found:
        yield _report.ok("consistent", "The settings do not contradict each other.")


def _longest_deadline(patient: Patient) -> float:
    types = patient.catalog.values() if patient.catalog else ()
    declared = [t.deadline_seconds for t in types if t.deadline_seconds is not None]
    return max([patient.settings.deadline_seconds, *declared])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _visibility(patient: Patient) -> Iterator[Finding]:
    longest = _longest_deadline(patient)
    if longest >= VISIBILITY_TIMEOUT_SECONDS:
        yield _report.error(
            "deadline",
            f"An export may take {longest:g} s, and the broker hands its message out again after "
            f"{VISIBILITY_TIMEOUT_SECONDS} s.",
            "Lower WAYBILL_DEADLINE_SECONDS, or the type's deadline_seconds.",
        )  # fmt: skip


def _uploads(patient: Patient) -> Iterator[Finding]:
    hours = patient.settings.stale_upload_hours
    longest = _longest_deadline(patient)
    if hours * 3600 <= longest:
        yield _report.error(
            "stale_uploads",
            f"Uploads are aborted as forgotten after {hours:g} h, and an export may take "
            f"{longest:g} s.",
            "Raise WAYBILL_STALE_UPLOAD_HOURS above the longest deadline.",
        )  # fmt: skip


def _ttl(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    if settings.result_ttl_days * 86_400 < _LINK_SECONDS:
        yield _report.error(
            "result_ttl",
            f"Files expire after {settings.result_ttl_days * 86_400:g} s, before anybody has "
            "fetched them.",
            "Raise WAYBILL_RESULT_TTL_DAYS.",
        )  # fmt: skip
    told = settings.smtp_host or settings.webhooks
    if told and settings.result_ttl_days * _DAY_HOURS <= settings.notify_expiring_hours:
        yield _report.warning(
            "expiring",
            f"Files are announced as expiring {settings.notify_expiring_hours:g} h before their "
            f"end, and live {settings.result_ttl_days * _DAY_HOURS:g} h: each is, at once.",
            "Lower WAYBILL_NOTIFY_EXPIRING_HOURS.",
        )  # fmt: skip
    if settings.job_retention_days < settings.replay_days:
        yield _report.warning(
            "retention",
            f"Failed exports can be replayed for {settings.replay_days:g} days, and are forgotten "
            f"after {settings.job_retention_days:g}.",
            "Raise WAYBILL_JOB_RETENTION_DAYS, or lower WAYBILL_REPLAY_DAYS.",
        )  # fmt: skip


def _retries(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    waits = settings.retry_backoff_seconds
    between = [waits[min(n, len(waits) - 1)] for n in range(settings.max_attempts - 1)]
    longest = sum(between) + settings.max_attempts * _longest_deadline(patient)
    if longest > settings.idempotency_hours * 3600:
        yield _report.warning(
            "idempotency",
            f"An export may be tried for {longest / 3600:.1f} h, and its Idempotency-Key is kept "
            f"for {settings.idempotency_hours:g} h: asking again meanwhile makes a second one.",
            "Raise WAYBILL_IDEMPOTENCY_HOURS, or shorten WAYBILL_RETRY_BACKOFF_SECONDS.",
        )  # fmt: skip
    if settings.republish_after_seconds >= settings.stuck_queued_seconds:
        yield _report.warning(
            "republish",
            f"An export whose message was lost is announced again after "
            f"{settings.republish_after_seconds:g} s, and counts as stuck after "
            f"{settings.stuck_queued_seconds:g} s: alerts for what mends itself.",
            "Lower WAYBILL_REPUBLISH_AFTER_SECONDS.",
        )  # fmt: skip


def _grace(patient: Patient) -> Iterator[Finding]:
    grace = patient.settings.shutdown_grace_seconds
    if grace >= SOFT_SHUTDOWN_SECONDS:
        yield _report.error(
            "shutdown_grace",
            f"A stopping worker lets exports run for {grace:g} s, and is ended after "
            f"{SOFT_SHUTDOWN_SECONDS:g} s: they would not get back to the queue in time.",
            f"Keep WAYBILL_SHUTDOWN_GRACE_SECONDS well below {SOFT_SHUTDOWN_SECONDS:g}.",
        )  # fmt: skip


def _sweeps(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    if settings.sweep_seconds > settings.lease_seconds:
        yield _report.warning(
            "sweep",
            f"Lost jobs are looked for every {settings.sweep_seconds:g} s, and a lease lasts "
            f"{settings.lease_seconds:g} s: retries after 1, 2 and 4 s come late.",
            "Lower WAYBILL_SWEEP_SECONDS; a sweep is one indexed query.",
        )  # fmt: skip
    if settings.stuck_running_seconds < settings.sweep_seconds * 2:
        yield _report.warning(
            "stuck",
            "A lease counts as stuck before the sweeper has looked twice: alerts without a cause.",
            "Raise WAYBILL_STUCK_RUNNING_SECONDS.",
        )  # fmt: skip


def _fallback(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    if settings.fallback_max_bytes > settings.fallback_total_bytes:
        yield _report.warning(
            "fallback",
            "One file kept in the database may be larger than all of them together "
            f"({settings.fallback_max_bytes} and {settings.fallback_total_bytes} bytes).",
            "Lower WAYBILL_FALLBACK_MAX_BYTES.",
        )  # fmt: skip


def _s3(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    if (settings.s3_access_key_id is None) != (settings.s3_secret_access_key is None):
        yield _report.error(
            "s3_credentials", "One half of the S3 credentials is set, and not the other.",
            "Set both WAYBILL_S3_ACCESS_KEY_ID and WAYBILL_S3_SECRET_ACCESS_KEY, or none.",
        )  # fmt: skip
    if settings.s3_kms_key_id and settings.s3_encryption != "aws:kms":
        yield _report.error(
            "s3_encryption", "A KMS key is named, and encryption by KMS is not asked for.",
            "Set WAYBILL_S3_ENCRYPTION=aws:kms, or leave WAYBILL_S3_KMS_KEY_ID out.",
        )  # fmt: skip
    names = (settings.storage, *settings.former_storages)
    if settings.storage_directory is not None and "directory" not in names:
        yield _report.warning(
            "storage", "WAYBILL_STORAGE_DIRECTORY is set, and files are not written there.",
            "Set WAYBILL_STORAGE=directory, or list it in WAYBILL_FORMER_STORAGES.",
        )  # fmt: skip
    endpoint = str(settings.s3_endpoint_url or "")
    host = urlsplit(endpoint).hostname or ""
    if "s3" in names and endpoint.startswith("http://") and not _is_loopback(host):
        yield _report.warning(
            "s3_endpoint", "Files travel to the storage unencrypted (http://).",
            "Use https:// in WAYBILL_S3_ENDPOINT_URL.",
        )  # fmt: skip
    for variable, address in (
        ("WAYBILL_S3_ENDPOINT_URL", settings.s3_endpoint_url),
        ("WAYBILL_S3_PUBLIC_ENDPOINT_URL", settings.s3_public_endpoint_url),
    ):
        if address is not None and (address.query or address.fragment or address.username):
            yield _report.error(
                "s3_address",
                f"{variable} holds more than an address: a name, ? or #, which no request keeps.",
                "Write it as https://s3.example.com; keys go into WAYBILL_S3_ACCESS_KEY_ID.",
            )  # fmt: skip
    public = settings.s3_public_endpoint_url
    if (
        "s3" in names
        and settings.public_url
        and not _is_loopback(urlsplit(settings.public_url).hostname or "")
        and settings.download == "redirect"
        and _is_loopback(urlsplit(str(public or endpoint)).hostname or "aws")
    ):
        yield _report.error(
            "s3_public_endpoint", "Download links lead to this machine itself (loopback).",
            "Set WAYBILL_S3_PUBLIC_ENDPOINT_URL, or WAYBILL_DOWNLOAD=stream.",
        )  # fmt: skip


def _strangers(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    is_public = bool(settings.public_url) and not _is_loopback(
        urlsplit(settings.public_url).hostname or ""
    )
    if settings.development_token is not None and is_public:
        yield _report.error(
            "development_token",
            "WAYBILL_DEVELOPMENT_TOKEN opens everything to whoever has it, and the service is "
            "public.",
            "Leave it out; set WAYBILL_JWT_… instead.",
        )  # fmt: skip
    everybody = [
        each for each in settings.trusted_proxies if ipaddress.ip_network(each).prefixlen == 0
    ]
    if everybody:
        yield _report.error(
            "trusted_proxies", f"WAYBILL_TRUSTED_PROXIES holds {everybody[0]}: anybody may say "
            "which address they come from, and limits by address are none.",
            "Name the proxies' own addresses.",
        )  # fmt: skip


def _public_url(patient: Patient) -> Iterator[Finding]:
    given = patient.settings.public_url
    parts = urlsplit(given)
    if given and (
        parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment
    ):
        yield _report.error(
            "public_url",
            "WAYBILL_PUBLIC_URL is no address of a service: links in mails and answers begin with "
            "it.",
            "Write it as https://exports.example.com, without ? and #.",
        )  # fmt: skip
    elif parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        yield _report.warning(
            "public_url_scheme",
            "WAYBILL_PUBLIC_URL begins with http://: links in mails lead people, and their tokens "
            "and sessions, over an unencrypted way.",
            "Serve it by https://, and write so.",
        )  # fmt: skip


def _clock(patient: Patient) -> Iterator[Finding]:
    if patient.settings.clock_offset_seconds:
        yield _report.warning(
            "clock_offset",
            f"waybill's clock is moved by {patient.settings.clock_offset_seconds:g} s.",
            "Leave WAYBILL_CLOCK_OFFSET_SECONDS out.",
        )  # fmt: skip


def _roles(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    default = settings.quota_per_day
    for role, quota in settings.quota_roles.items():
        lower = quota != "unlimited" and (default == "unlimited" or quota < default)
        if lower:
            yield _report.warning(
                "quota_roles",
                f"The role {role!r} has a quota of {quota}, below everybody's {default}; roles "
                "only raise.",
                "Correct WAYBILL_QUOTA_ROLES.",
            )  # fmt: skip


def _unused(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    sentinel = settings.redis_url.get_secret_value().startswith(("sentinel://", "sentinels://"))
    if settings.redis_master_name and not sentinel:
        yield _report.warning(
            "redis_master_name", "WAYBILL_REDIS_MASTER_NAME is set, and no Sentinel is asked.",
            "Write WAYBILL_REDIS_URL as sentinel://…, or leave the name out.",
        )  # fmt: skip
    if (settings.redis_sentinel_username or settings.redis_sentinel_password) and not sentinel:
        yield _report.warning(
            "redis_sentinel", "WAYBILL_REDIS_SENTINEL_… is set, and no Sentinel is asked.",
            "Write WAYBILL_REDIS_URL as sentinel://…, or leave it out.",
        )  # fmt: skip
    given = settings.smtp_username or settings.mail_from
    if given and not settings.smtp_host:
        yield _report.warning(
            "smtp_host", "Mail is set up in part, and off: WAYBILL_SMTP_HOST is not set.",
            "Set it, or leave the others out.",
        )  # fmt: skip


def most_connections(settings: Settings) -> int:
    """Return how many connections to a source one worker may open."""
    beside = settings.small_jobs_together - 1
    return settings.worker_concurrency * ((settings.source_readers or 4) + 2 + beside)


def _readers(patient: Patient) -> Iterator[Finding]:
    needed = most_connections(patient.settings)
    if needed > _MANY_CONNECTIONS:
        yield _report.warning(
            "source_readers",
            f"One worker may open {needed} connections to the source.",
            "Lower WAYBILL_WORKER_CONCURRENCY, WAYBILL_SOURCE_READERS or "
            "WAYBILL_SMALL_JOBS_TOGETHER.",
        )  # fmt: skip


_MANY_CONNECTIONS: Final = 60

RULES: Final[tuple[Callable[[Patient], Iterator[Finding]], ...]] = (
    _visibility,
    _uploads,
    _ttl,
    _retries,
    _grace,
    _sweeps,
    _fallback,
    _s3,
    _strangers,
    _public_url,
    _clock,
    _roles,
    _unused,
    _readers,
)
